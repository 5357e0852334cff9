//! What was measured, by protocol class and provider, beside what the censor was ordered to do.

use crate::country::export::Made;
use crate::country::middlebox::Signature;
use crate::country::scenario::{Endpoint, How, Provider, Scenario, Whom, is_under};
use faultline_model::{Asn, Fact, Judgement, LayerStatus, Measurement, ProtocolClass, TunnelStage};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One provider's result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cell {
    /// The provider.
    pub asn: Asn,
    /// What is said of it.
    pub status: LayerStatus,
    /// By which rule.
    pub rule: String,
    /// How far the last handshake came.
    pub stage: Option<TunnelStage>,
    /// The censor was ordered to block it.
    pub ordered: bool,
    /// The measurement itself.
    pub measurement: Measurement,
}

impl Cell {
    /// Puts a judged measurement into its cell.
    #[must_use]
    pub fn of(asn: Asn, measurement: &Measurement, judgement: &Judgement, ordered: bool) -> Self {
        let stage = measurement.observations.iter().rev().find_map(|step| match &step.fact {
            Fact::Tunnel(fact) => Some(fact.stage),
            _ => None,
        });
        let (status, rule) = (judgement.status, judgement.rule.clone());
        Self { asn, status, rule, stage, ordered, measurement: measurement.clone() }
    }

    /// Says whether the judgement is what was ordered.
    #[must_use]
    pub fn is_right(&self) -> bool {
        match self.status {
            LayerStatus::Ok => !self.ordered,
            LayerStatus::Blocked => self.ordered,
            _ => false,
        }
    }
}

/// One endpoint's results.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// What it speaks.
    pub class: ProtocolClass,
    /// Its name.
    pub host: String,
    /// The Debian package without which it was not run.
    pub missing: Option<String>,
    /// By provider, in the scenario's order.
    pub cells: Vec<Cell>,
    /// Controls whose handshake passed.
    pub controls: usize,
    /// What the controls measured, with their networks.
    pub at_controls: Vec<(Asn, Measurement)>,
}

impl Row {
    /// Says in one line what came out.
    #[must_use]
    pub fn progress(&self) -> String {
        match &self.missing {
            Some(package) => format!("{}: not run; apt-get install {package}", self.class.title()),
            None => {
                let blocked = self.cells.iter().filter(|cell| cell.status == LayerStatus::Blocked).count();
                let passed = self.cells.iter().filter(|cell| cell.status == LayerStatus::Ok).count();
                format!("{}: passed at {passed} providers, blocked at {blocked}", self.class.title())
            }
        }
    }
}

/// All results.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    /// The scenario.
    pub scenario: String,
    /// The providers, in the scenario's order.
    pub providers: Vec<(Asn, String)>,
    /// How many controls there are.
    pub controls: usize,
    /// By endpoint.
    pub rows: Vec<Row>,
}

impl Table {
    /// Lists every measurement that was made.
    #[must_use]
    pub fn made(&self) -> Vec<Made<'_>> {
        let mut all = Vec::new();
        for row in &self.rows {
            for cell in &row.cells {
                all.push(Made { at: cell.asn, is_control: false, measurement: &cell.measurement });
            }
            let controls = row.at_controls.iter();
            all.extend(controls.map(|(at, measurement)| Made { at: *at, is_control: true, measurement }));
        }
        all
    }

    /// Counts the cells that are as ordered, and all cells.
    #[must_use]
    pub fn score(&self) -> (usize, usize) {
        let cells: Vec<&Cell> = self.rows.iter().flat_map(|row| &row.cells).collect();
        (cells.iter().filter(|cell| cell.is_right()).count(), cells.len())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |name: &str| name.chars().count().max(WORD);
        write!(f, "{:<20} {:<9}", "handshake to an", "controls")?;
        for (_, name) in &self.providers {
            write!(f, " {name:<w$}", w = width(name))?;
        }
        writeln!(f, "\nunlisted host with")?;
        for row in &self.rows {
            write!(f, "{:<20} ", row.class.title())?;
            if let Some(package) = &row.missing {
                writeln!(f, "not run; apt-get install {package}")?;
                continue;
            }
            write!(f, "{:<9}", format!("{}/{}", row.controls, self.controls))?;
            for (cell, (_, name)) in row.cells.iter().zip(&self.providers) {
                let mark = if cell.is_right() { "" } else { " !" };
                write!(f, " {:<w$}", format!("{}{mark}", word(cell)), w = width(name))?;
            }
            writeln!(f)?;
        }
        let rules: Vec<String> = self
            .rows
            .iter()
            .flat_map(|row| {
                row.cells.iter().filter(|cell| cell.status != LayerStatus::Ok).map(|cell| cell.rule.clone())
            })
            .collect();
        let mut distinct = rules.clone();
        distinct.sort();
        distinct.dedup();
        for rule in distinct {
            writeln!(f, "  {rule}: {}", rules.iter().filter(|one| **one == rule).count())?;
        }
        let (right, all) = self.score();
        write!(f, "{right} of {all} cells are what the censor was ordered to do")
    }
}

/// The longest word with its mark.
const WORD: usize = 14;

const fn word(cell: &Cell) -> &'static str {
    match cell.status {
        LayerStatus::Ok => "passed",
        LayerStatus::Blocked => "blocked",
        LayerStatus::Down => "down",
        LayerStatus::Throttled => "throttled",
        LayerStatus::Tampered => "tampered",
        LayerStatus::Insufficient => "insufficient",
    }
}

/// Says whether some rule of the whole run blocks an endpoint at a provider.
#[must_use]
pub fn is_ordered(scenario: &Scenario, provider: &Provider, endpoint: &Endpoint) -> bool {
    scenario.rules.iter().any(|rule| {
        let is_meant = match &rule.whom {
            Whom::Named { hosts, addresses } => {
                let address = scenario.address_of(&endpoint.host);
                hosts.iter().any(|name| is_under(&endpoint.host, name))
                    || address.is_some_and(|address| addresses.contains(&address))
            }
            Whom::Foreign | Whom::Everything => true,
            Whom::Coordinator => false,
        };
        let does = match rule.how {
            How::Protocol(Signature::OpenvpnDrop) => endpoint.class == ProtocolClass::OpenvpnUdp,
            How::Protocol(Signature::OpenvpnReset) => endpoint.class == ProtocolClass::OpenvpnTcp,
            How::Protocol(Signature::WireguardDrop) => endpoint.class == ProtocolClass::Wireguard,
            How::SniReset | How::SniDrop => {
                matches!(endpoint.class, ProtocolClass::VpnApi | ProtocolClass::HttpsProxy)
            }
            How::AddressDrop | How::AddressRefuse | How::Blackhole | How::DnsForge(_) | How::DnsInject(_) => {
                true
            }
            _ => false,
        };
        is_meant && does && scenario.subscribers(&rule.who, provider).is_some_and(|seats| seats.is_empty())
    })
}
