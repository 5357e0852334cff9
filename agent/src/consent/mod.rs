//! The volunteer's consent, asked for before the first packet.
//!
//! The text is a file: a `version` line, numbered statements that are acknowledged one by one, and one question that
//! only somebody who has read them answers rightly. A changed text has a new version and is asked anew.

use std::io::{self, BufRead, Write};

const ENGLISH: &str = include_str!("en.txt");

/// A consent text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentText {
    /// Its version.
    pub version: String,
    opening: String,
    statements: Vec<String>,
    question: String,
    answer: String,
}

/// How the volunteer answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Agreed to all of it and understood it.
    Given,
    /// Did not agree to a statement.
    Refused,
    /// Answered the question wrongly.
    Misunderstood,
}

impl ConsentText {
    /// Returns the English text.
    #[must_use]
    pub fn english() -> Self {
        Self::parse(ENGLISH)
    }

    fn parse(text: &str) -> Self {
        let tagged = |tag: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(tag));
            line.unwrap_or_default().trim().to_owned()
        };
        let is_statement = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
        let is_tagged =
            |line: &str| ["version ", "question ", "answer "].iter().any(|tag| line.starts_with(tag));
        let opening = text.lines().find(|line| !line.is_empty() && !is_tagged(line) && !is_statement(line));
        Self {
            version: tagged("version "),
            opening: opening.unwrap_or_default().to_owned(),
            statements: text.lines().filter(is_statement).map(str::to_owned).collect(),
            question: tagged("question "),
            answer: tagged("answer "),
        }
    }

    /// Prints the statements.
    ///
    /// # Errors
    /// Passes on that the output is closed.
    pub fn print(&self, output: &mut impl Write) -> io::Result<()> {
        writeln!(output, "{}\n", self.opening)?;
        self.statements.iter().try_for_each(|statement| writeln!(output, "{statement}"))?;
        writeln!(output)
    }

    /// Asks for each statement and the question in turn.
    ///
    /// # Errors
    /// Passes on that input or output is closed.
    pub fn ask(&self, input: &mut impl BufRead, output: &mut impl Write) -> io::Result<Consent> {
        writeln!(output, "{}\n", self.opening)?;
        for statement in &self.statements {
            if answer(statement, "   Do you agree? (yes/no) ", input, output)? != "yes" {
                return Ok(Consent::Refused);
            }
        }
        let answered = answer("", &format!("{} ", self.question), input, output)?;
        Ok(if answered == self.answer { Consent::Given } else { Consent::Misunderstood })
    }
}

fn answer(
    above: &str,
    prompt: &str,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> io::Result<String> {
    writeln!(output, "{above}")?;
    write!(output, "{prompt}")?;
    output.flush()?;
    let mut line = String::new();
    input.read_line(&mut line)?;
    Ok(line.trim().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(answers: &str) -> Consent {
        let mut output = Vec::new();
        ConsentText::english().ask(&mut answers.as_bytes(), &mut output).expect("asked")
    }

    #[test]
    fn the_text_has_five_statements_a_question_and_a_version() {
        let text = ConsentText::english();
        assert_eq!(text.statements.len(), 5);
        assert!(!text.version.is_empty() && text.question.ends_with("(yes/no)") && text.answer == "yes");
        for promise in ["provider", "illegal", "published", "legally", "leave"] {
            assert!(text.statements.iter().any(|statement| statement.contains(promise)), "{promise}");
        }
    }

    #[test]
    fn consent_needs_every_statement_and_the_right_answer() {
        assert_eq!(ask("yes\nYES\nyes\nyes\nyes\nyes\n"), Consent::Given);
        assert_eq!(ask("yes\nyes\nno\n"), Consent::Refused);
        assert_eq!(ask("yes\nyes\nyes\nyes\nyes\nno\n"), Consent::Misunderstood);
        assert_eq!(ask(""), Consent::Refused, "a closed terminal is no consent");
    }
}
