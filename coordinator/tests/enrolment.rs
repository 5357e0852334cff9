//! Enrolment and roles, against a real coordinator over real TLS.

mod kit;

use faultline_proto::agent::agent_service_client::AgentServiceClient;
use faultline_proto::agent::enrolment_service_client::EnrolmentServiceClient;
use faultline_proto::agent::{EnrolRequest, UploadRequest};
use faultline_proto::operator::ListAgentsRequest;
use faultline_proto::operator::operator_service_client::OperatorServiceClient;
use faultline_runtime::tls::{CertificateAuthority, PeerIdentity, PeerRole};
use kit::{Server, Wish, enrol_request};
use std::os::unix::fs::PermissionsExt;
use tonic::Code;

async fn refusal(server: &Server, request: EnrolRequest) -> anyhow::Result<(Code, String)> {
    let channel = server.channel(None, "127.0.0.1:0").await?;
    let refused = EnrolmentServiceClient::new(channel).enrol(request).await.expect_err("it must be refused");
    Ok((refused.code(), refused.message().to_owned()))
}

#[tokio::test]
async fn a_first_run_needs_nothing_and_keeps_its_secrets_to_itself() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let server = Server::start(&data, &[]).await?;
    for (path, mode) in [("", 0o700), ("operator.json", 0o600), ("ca-key.pem", 0o600)] {
        assert_eq!(std::fs::metadata(data.join(path))?.permissions().mode() & 0o777, mode, "{path}");
    }
    assert!(server.operator().await?.agents().await?.is_empty());
    assert!(Server::start(&data, &[]).await.is_err(), "a second coordinator on the same data is refused");
    let (code, log) = server.stop().await?;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("operator.json"), "it says where the credential is: {log}");
    let again = Server::start(&data, &[]).await?;
    assert!(again.operator().await?.agents().await?.is_empty(), "the credential is good after a restart");
    Ok(())
}

#[tokio::test]
async fn used_lapsed_and_unknown_invites_get_the_same_refusal() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[]).await?;
    let mut operator = server.operator().await?;
    operator.cohort = "test".into();
    let used = operator.invite(23674, false, 0).await?;
    let channel = server.channel(None, "127.0.0.1:0").await?;
    let (_, first) = enrol_request(&used, false)?;
    let enrolled = EnrolmentServiceClient::new(channel.clone()).enrol(first.clone()).await?.into_inner();
    let repeated = EnrolmentServiceClient::new(channel).enrol(first).await?.into_inner();
    assert_eq!(repeated.agent_id, enrolled.agent_id, "a repeated request is the same enrolment");

    let lapsed = operator.invite(23674, false, 1).await?;
    let moment = faultline_runtime::now() + std::time::Duration::from_millis(1001);
    kit::wait_until("the invite lapsed", || async { Ok(faultline_runtime::now() > moment) }).await?;
    let for_control = operator.invite(23674, true, 0).await?;
    let mut refusals = Vec::new();
    for token in [used.as_str(), &lapsed, "0123456789abcdef0123456789abcdef", "", &for_control] {
        refusals.push(refusal(&server, enrol_request(token, false)?.1).await?);
    }
    assert_eq!(refusals[0].0, Code::PermissionDenied);
    assert!(refusals.iter().all(|one| *one == refusals[0]), "{refusals:?}");
    let agents = operator.agents().await?;
    let [agent] = agents.as_slice() else { panic!("{agents:?}") };
    assert_eq!((agent.asn, agent.country.as_str(), agent.cohort.as_str()), (23674, "PK", "test"));
    Ok(())
}

#[tokio::test]
async fn a_bad_request_does_not_use_the_invite_up() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[]).await?;
    let token = server.operator().await?.invite(23674, false, 0).await?;
    let (_, good) = enrol_request(&token, false)?;
    let spoils: [fn(&mut EnrolRequest); 4] = [
        |r| r.certificate_request = b"junk".to_vec(),
        |r| r.budget = 9,
        |r| r.consent_version.clear(),
        |r| r.agent_version = "x".repeat(1000),
    ];
    for spoil in spoils {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert_eq!(refusal(&server, bad).await?.0, Code::InvalidArgument);
    }
    let channel = server.channel(None, "127.0.0.1:0").await?;
    EnrolmentServiceClient::new(channel).enrol(good).await?;
    Ok(())
}

#[tokio::test]
async fn each_role_gets_its_own_calls_and_no_others() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[]).await?;
    let agent = server.enrol(Wish::default()).await?;
    let upload = || UploadRequest { measurements: vec![] };
    let stranger = server.channel(None, "127.0.0.1:0").await?;
    let refused =
        AgentServiceClient::new(stranger.clone()).upload(upload()).await.expect_err("no certificate");
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused =
        OperatorServiceClient::new(stranger).list_agents(ListAgentsRequest {}).await.expect_err("none");
    assert_eq!(refused.code(), Code::Unauthenticated);
    let as_agent = server.channel(Some(&agent.identity), "127.0.0.1:0").await?;
    let refused =
        OperatorServiceClient::new(as_agent).list_agents(ListAgentsRequest {}).await.expect_err("an agent");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let mut operator = server.operator().await?;
    let refused = operator.invite(0, false, 0).await.map(|_| ()).and(
        AgentServiceClient::new(server.channel(Some(&operator_identity(&server)?), "127.0.0.1:0").await?)
            .upload(upload())
            .await
            .map(|_| ())
            .map_err(anyhow::Error::from),
    );
    let status = refused.expect_err("an operator uploads nothing");
    assert_eq!(status.downcast_ref::<tonic::Status>().map(tonic::Status::code), Some(Code::PermissionDenied));
    Ok(())
}

fn operator_identity(server: &Server) -> anyhow::Result<faultline_runtime::tls::Identity> {
    let credential: serde_json::Value =
        serde_json::from_slice(&std::fs::read(server.data.join("operator.json"))?)?;
    Ok(serde_json::from_value(credential["identity"].clone())?)
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_for_nobody_opens_nothing() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[]).await?;
    let other = tempfile::tempdir()?;
    let peer = PeerIdentity { role: PeerRole::Operator, name: "mallory".into() };
    let foreign = CertificateAuthority::open(other.path())?.client_identity(&peer)?;
    // The handshake of TLS 1.3 ends before the server has looked at the client's certificate.
    let call = async {
        let channel = server.channel(Some(&foreign), "127.0.0.1:0").await?;
        let answer = OperatorServiceClient::new(channel).list_agents(ListAgentsRequest {}).await?;
        Ok::<_, anyhow::Error>(answer)
    };
    assert!(call.await.is_err());
    let own = CertificateAuthority::open(&server.data)?;
    let ghost = own.client_identity(&PeerIdentity { role: PeerRole::Agent, name: "nobody".into() })?;
    let channel = server.channel(Some(&ghost), "127.0.0.1:0").await?;
    let refused = AgentServiceClient::new(channel).upload(UploadRequest { measurements: vec![] }).await;
    assert_eq!(refused.expect_err("never enrolled").code(), Code::Unauthenticated);
    Ok(())
}
