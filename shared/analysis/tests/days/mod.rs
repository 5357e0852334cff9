//! Labelled days of our own: kinds of days that the shipped cases do not hold, made from seeds.
//!
//! # Assumptions
//! They differ on purpose from those of the shipped cases (`land`, `day`): cadence (450, 600 or 720 s), beats (60 to
//! 150 s) and the number of networks vary; lines fail in bursts, with heavy tails over agents; companies own one or two
//! networks; a fifth to a third of the agents come and go; some clocks are hours off; recorded rates of ordinary days are
//! right to a fifth only; liars flood. On hard days lines are nearly twice as bad, censors miss up to a fifth of the
//! attempts, providers have fewer agents and late results are lost more often.
//!
//! What they share with the shipped cases, and what no score on them can show: incidents are rectangular apart from
//! delays per provider, agents measure each target once a period, and labels are certain.

mod cuts;
pub mod day;
pub mod draw;
pub mod kinds;
pub mod land;
pub mod score;
