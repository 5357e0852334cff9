//! What people see: plain tables, the matrix of providers and services, and incidents.

mod incident;
pub(crate) mod judged;
mod matrix;
mod table;

pub(crate) use incident::{headline_line, incident_text, watch_line};
pub(crate) use matrix::{matrix_json, matrix_text};
pub(crate) use table::{Align, Table};
