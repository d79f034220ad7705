//! What projectors feed, to those who read it.

use std::collections::HashMap;

use super::{define::rules, logs::Logs};
use crate::{
    model::{Cursor, Lane, Log, LogName, Progress, ProjectionName, Revision, Standing},
    storage::{Storage, StorageError},
};

/// The revision of a projector that answers, and how far it was a moment ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fed {
    pub revision: i64,
    pub number: i64,
    /// The name under which its documents are kept.
    pub documents: ProjectionName,
    /// Whether its projector is gone.
    pub retained: bool,
    /// The last event that it passed.
    pub sequence_number: i64,
    /// How many events of its lanes it has not passed.
    pub lag: i64,
    /// Where those lanes end, added up.
    end: i64,
}

impl Fed {
    /// It is as far as this.
    pub(super) fn is_at(&mut self, log: &Log, progress: &Progress) {
        self.sequence_number = progress.sequence_number;
        self.lag = (self.end - stands_at(log, progress)).max(0);
    }
}

/// The places of a revision in its lanes, added up.
fn stands_at(log: &Log, progress: &Progress) -> i64 {
    match progress.cursor.parse() {
        Ok(Cursor::Vector(places)) => places.iter().map(|place| place.n).sum(),
        _ => log.lanes.split(progress.sequence_number).1,
    }
}

/// Those that answer, by log and name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Feeds(HashMap<(LogName, String), Fed>);

impl Feeds {
    pub(super) fn get(&self, log: &LogName, projection: &str) -> Option<Fed> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(log.clone(), projection.to_owned())).cloned()
    }

    /// The names of documents of a log that answer.
    pub(super) fn documents(&self, log: &LogName) -> Vec<ProjectionName> {
        let of = self.0.iter().filter(|((of, _), _)| of == log);
        of.map(|(_, fed)| fed.documents.clone()).collect()
    }

    /// Whether the same revisions answer, wherever they are.
    pub(super) fn are_those_of(&self, other: &Self) -> bool {
        let same = |(name, fed): (&(LogName, String), &Fed)| {
            other.0.get(name).is_some_and(|of| of.revision == fed.revision)
        };
        self.0.len() == other.0.len() && self.0.iter().all(same)
    }

    /// Those of the revisions that answer.
    pub(super) async fn of(
        storage: &Storage,
        logs: &Logs,
        answering: Vec<(LogName, Revision)>,
    ) -> Result<Self, StorageError> {
        let mut found = Vec::new();
        let mut lanes: Vec<(i64, Lane)> = Vec::new();
        for (name, revision) in answering {
            let Some(log) = logs.find(&name).await? else { continue };
            let own: Vec<_> = log
                .lanes
                .of(&rules(&revision.definition)?.source)
                .into_iter()
                .map(|lane| (log.id, lane))
                .collect();
            lanes.extend(&own);
            found.push((log, revision, own));
        }
        if found.is_empty() {
            return Ok(Self::default());
        }
        lanes.sort_unstable();
        lanes.dedup();
        let ends = storage.events.ends(&lanes).await?;
        let ends: HashMap<_, _> =
            lanes.into_iter().zip(ends.into_iter().map(|end| end.n)).collect();
        let fed = found.into_iter().map(|(log, revision, own)| {
            let mut fed = Fed {
                revision: revision.id,
                number: revision.number,
                documents: revision.documents(),
                retained: revision.standing == Standing::Retained,
                sequence_number: 0,
                lag: 0,
                end: own.iter().filter_map(|lane| ends.get(lane)).sum(),
            };
            fed.is_at(&log, &revision.progress);
            ((log.name.clone(), revision.projector.to_string()), fed)
        });
        Ok(Self(fed.collect()))
    }
}

/// That event, if a revision has passed it; else the last one that it has.
pub(super) fn passed(log: &Log, progress: &Progress, number: i64) -> i64 {
    if progress.has_passed(log.lanes, number) {
        number.max(progress.sequence_number)
    } else {
        progress.sequence_number.min(number - 1)
    }
}
