//! Compiles the wire definitions with protox, so that no protoc has to be installed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "faultline/agent/v1/agent.proto",
        "faultline/operator/v1/operator.proto",
        "faultline/research/v1/research.proto",
    ];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
