//! Categories that are refused unless an operator allows them by name: what the visit of such a page from
//! somebody's home can cost that person.

use super::Fault;
use super::draft::{Draft, Entry};
use faultline_model::Category;
use std::collections::{BTreeMap, BTreeSet};

/// Citizen Lab's codes with what each can cost a volunteer.
const REFUSED: &[(&str, &str)] = &[
    ("ANON", "circumvention tools: visits can be read as preparing to evade the law"),
    ("GAYL", "sexual orientation: a crime in some countries, and reason for violence in more"),
    ("GMB", "gambling: forbidden in many countries"),
    ("HATE", "hate speech: possession or access can be prosecuted"),
    ("HUMR", "human rights: visitors may be taken for activists"),
    ("LGBT", "sexual orientation and gender: a crime in some countries, and reason for violence in more"),
    ("MILX", "militant groups: access alone can be prosecuted as terrorism"),
    ("POLR", "political criticism: visitors may be taken for opponents"),
    ("PORN", "pornography: forbidden in many countries, and some of it everywhere"),
    ("REL", "religious criticism: blasphemy laws can apply"),
    ("XED", "sex education: forbidden in some countries"),
];

/// Which categories an operator allows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    allowed: BTreeSet<String>,
    skips_refused: bool,
}

impl Policy {
    /// Takes the operator's flags.
    pub(crate) fn new(allowed: &[String], skips_refused: bool) -> Result<Self, String> {
        let codes = allowed.iter().map(|code| Category::new(&code.to_ascii_uppercase()));
        let allowed =
            codes.map(|code| code.map(|code| code.as_str().to_owned())).collect::<Result<_, _>>()?;
        Ok(Self { allowed, skips_refused })
    }

    fn reason(&self, category: &Category) -> Option<&'static str> {
        let refused = REFUSED.iter().find(|(code, _)| *code == category.as_str());
        refused.filter(|(code, _)| !self.allowed.contains(*code)).map(|(_, reason)| *reason)
    }

    /// Removes what the operator wants left out, and returns how many per category.
    pub(crate) fn skip(&self, draft: &mut Draft) -> BTreeMap<String, usize> {
        let mut skipped = BTreeMap::new();
        if self.skips_refused {
            draft.entries.retain(|entry| {
                let refused = self.reason(&entry.spec.category).is_some();
                if refused {
                    *skipped.entry(entry.spec.category.to_string()).or_default() += 1;
                }
                !refused
            });
        }
        skipped
    }

    /// Returns one fault per refused category, at its first target.
    pub(crate) fn refused(&self, draft: &Draft) -> Vec<Fault> {
        let mut first: BTreeMap<&str, (usize, &Entry)> = BTreeMap::new();
        for entry in &draft.entries {
            if self.reason(&entry.spec.category).is_some() {
                first.entry(entry.spec.category.as_str()).or_insert((0, entry)).0 += 1;
            }
        }
        let fault = |(code, (count, entry)): (&str, (usize, &Entry))| Fault {
            source: entry.source.clone(),
            line: entry.line,
            key: format!("category {code}"),
            message: format!(
                "{}; refused by default ({})",
                self.reason(&entry.spec.category).unwrap_or_default(),
                crate::output::counted(count as u64, "target")
            ),
        };
        first.into_iter().map(fault).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        let text =
            "url,category_code\nhttps://a.example/,PORN\nhttps://b.example/,NEWS\nhttps://c.example/,PORN\n";
        super::super::parse("x.csv", text).expect("readable").0
    }

    #[test]
    fn a_dangerous_category_needs_its_own_permission() {
        let policy = Policy::new(&[], false).expect("valid");
        let faults = policy.refused(&draft());
        assert_eq!(faults.len(), 1);
        assert!(faults[0].to_string().starts_with("x.csv:2: category PORN: "), "{}", faults[0]);
        assert!(faults[0].to_string().contains("2 targets"));
        let allowed = Policy::new(&["porn".to_owned()], false).expect("valid");
        assert!(allowed.refused(&draft()).is_empty());
    }

    #[test]
    fn what_is_refused_can_be_left_out_and_is_counted() {
        let policy = Policy::new(&[], true).expect("valid");
        let mut draft = draft();
        assert_eq!(policy.skip(&mut draft), BTreeMap::from([("PORN".to_owned(), 2)]));
        assert_eq!(draft.entries.len(), 1);
        assert!(policy.refused(&draft).is_empty());
    }
}
