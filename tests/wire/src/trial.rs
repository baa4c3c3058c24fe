//! One script: played to mcplog and judged; and what does not go together.

use crate::judge::judge;
use crate::judgement::Judgement;
use crate::observed::observe;
use crate::planted::Planted;
use crate::row::{Key, Recorded, Row, SessionRow};
use crate::scale::SEEDS;
use crate::script::Script;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A script on trial.
#[derive(Debug)]
pub struct Trial {
    /// The script's seed.
    pub seed: u64,
    /// How many exchanges it has.
    pub exchanges: usize,
    /// What does not go together.
    pub disagreements: Vec<String>,
    /// How the calls ended, as the judge says: outcome and code, and how many.
    pub ends: BTreeMap<String, usize>,
    /// The script in words, if there is a disagreement.
    story: Vec<String>,
}

impl Trial {
    /// Tries the script of that seed.
    pub fn of(seed: u64) -> Self {
        let script = Script::of(seed);
        let judgement = judge(&script.steps, None);
        let disagreements = compare(&observe(&script.steps), &judgement);
        let is_told = !disagreements.is_empty();
        let story = script.steps.iter().filter(|_| is_told).map(ToString::to_string).collect();
        let mut ends = BTreeMap::new();
        for row in &judgement.recorded.rows {
            let words = [Some(row.outcome.as_str()), row.code.as_deref(), row.is_late.then_some("late answer")];
            *ends.entry(words.into_iter().flatten().collect::<Vec<_>>().join(" ")).or_default() += 1;
        }
        Self { seed, exchanges: script.exchanges, disagreements, ends, story }
    }

    /// Whether a judge who breaks that rule would have noticed nothing.
    pub fn hides(seed: u64, planted: Planted) -> bool {
        let script = Script::of(seed);
        compare(&judge(&script.steps, Some(planted)).recorded, &judge(&script.steps, None)).is_empty()
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}:", self.seed)?;
        self.story.iter().try_for_each(|step| writeln!(f, "    {step}"))?;
        self.disagreements.iter().try_for_each(|disagreement| writeln!(f, "  {disagreement}"))?;
        writeln!(f, "  alone: {SEEDS}={} cargo test -p mcplog-wire --test wire", self.seed)
    }
}

/// What does not go together.
pub fn compare(found: &Recorded, judgement: &Judgement) -> Vec<String> {
    let expected = &judgement.recorded;
    let names = names(&found.rows, &expected.rows);
    let named = |session: &Option<String>| {
        session.as_ref().map(|session| names.get(session).cloned().unwrap_or_else(|| session.clone()))
    };
    let mut disagreements = Vec::new();
    let mut rows: BTreeMap<Key, Vec<Row>> = BTreeMap::new();
    for row in &found.rows {
        rows.entry(row.key()).or_default().push(Row { session: named(&row.session), ..row.clone() });
    }
    // Those that are equal go together first: several may be found by the same.
    let mut left = Vec::new();
    for row in &expected.rows {
        let found = rows.entry(row.key()).or_default();
        match found.iter().position(|found| found == row) {
            Some(at) => drop(found.remove(at)),
            None => left.push(row),
        }
    }
    for row in left {
        let found = rows.get_mut(&row.key()).and_then(Vec::pop);
        let may_be_missing = judgement.may_be_missing.contains(&row.key());
        match found {
            Some(found) if may_be_missing && is_given_up(&found) => {}
            Some(found) => disagreements.push(format!("the row is\n    {found:?}\n  and the judge says\n    {row:?}")),
            None if may_be_missing => {}
            None => disagreements.push(format!("no row, and the judge says\n    {row:?}")),
        }
    }
    for row in rows.into_values().flatten() {
        if !judgement.cut.contains(&row.ts) || !is_given_up(&row) {
            disagreements.push(format!("the judge knows of no such row\n    {row:?}"));
        }
    }
    let sessions: BTreeSet<SessionRow> = found
        .sessions
        .iter()
        .map(|session| SessionRow { id: named(&Some(session.id.clone())).unwrap_or_default(), ..session.clone() })
        .collect();
    for (who, one, other) in [("mcplog", &sessions, &expected.sessions), ("the judge", &expected.sessions, &sessions)] {
        disagreements
            .extend(one.difference(other).map(|session| format!("a session that only {who} knows: {session:?}")));
    }
    let closes: BTreeMap<String, usize> =
        found.closes.iter().map(|(id, times)| (named(&Some(id.clone())).unwrap_or_default(), *times)).collect();
    // A stream of 2024-11-05 whose session no row names has no name that anybody could compare.
    let known = |closes: &BTreeMap<String, usize>| -> BTreeMap<String, usize> {
        let is_nameless = |id: &String| id.starts_with('<') || id.starts_with("stream-");
        let nameless = closes.iter().filter(|(id, _)| is_nameless(id)).map(|(_, times)| times).sum();
        let named = closes.iter().filter(|(id, _)| !is_nameless(id)).map(|(id, times)| (id.clone(), *times));
        named.chain([("those without a name".to_owned(), nameless)]).collect()
    };
    if known(&closes) != known(&expected.closes) {
        disagreements.push(format!("closed are {closes:?}, and the judge says {:?}", expected.closes));
    }
    disagreements
}

/// Whether its client went away while it asked.
fn is_given_up(row: &Row) -> bool {
    [&row.code, &row.cause].into_iter().flatten().any(|code| code == "client_gone")
}

/// What the judge calls the sessions that are made up: a name of the one and a name of the other go together where their rows
/// do. Two that the judge tells apart never get the same.
fn names(found: &[Row], expected: &[Row]) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let by_key: BTreeMap<Key, &Row> = expected.iter().map(|row| (row.key(), row)).collect();
    for row in found {
        let Some(session) = &row.session else { continue };
        let is_made_up = session.starts_with("derived-") || session.starts_with("stream-");
        let theirs = by_key.get(&row.key()).and_then(|row| row.session.as_ref());
        if let (true, Some(theirs)) = (is_made_up, theirs) {
            let is_taken = names.values().any(|name| name == theirs);
            if !is_taken {
                names.entry(session.clone()).or_insert_with(|| theirs.clone());
            }
        }
    }
    names
}
