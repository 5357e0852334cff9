//! What people see: plain tables, the matrix of providers and services, and incidents.

mod explanation;
mod incident;
pub(crate) mod judged;
mod matrix;
mod table;

pub(crate) use explanation::{claim_text, comparison_text, corroboration_text, explanation_text};
pub(crate) use incident::{headline_line, incident_text, watch_line};
pub(crate) use matrix::{matrix_json, matrix_text};
pub(crate) use table::{Align, Table};
