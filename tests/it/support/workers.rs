//! Real workers, and small definitions for them.

use std::time::Duration;

use everlog::{
    engine::workers::{Program, Silence, WorkerError, Workers},
    model::Form,
    worker::frames::{
        Allowance, Applied, Complaint, Description, Entry, Given, Located, Reply, Request, Work,
    },
};

/// The binary under test as a worker.
pub(crate) fn program() -> Program {
    let path = env!("CARGO_BIN_EXE_everlog").into();
    Program { path, arguments: vec!["projector-worker".to_owned()] }
}

/// A pool of one, started when it is needed.
pub(crate) fn some() -> Workers {
    let silence = Silence { cpu: Duration::from_millis(500), clock: Duration::from_secs(20) };
    Workers::new(program(), 1, silence)
}

/// What tests allow: less than the service, so that what does not end is ended sooner.
pub(crate) fn allowance() -> Allowance {
    Allowance {
        load_micros: 250_000,
        call_micros: 50_000,
        batch_micros: 1_000_000,
        heap_bytes: 64 << 20,
        stack_bytes: 256 << 10,
        state_bytes: 1 << 20,
        metadata_bytes: 64 << 10,
        ids: 16,
        console_lines: 100,
        console_bytes: 16 << 10,
    }
}

/// Workers, and what they are asked.
pub(crate) struct Shop {
    pub(crate) workers: Workers,
    pub(crate) allowance: Allowance,
}

impl Shop {
    pub(crate) fn open() -> Self {
        Self { workers: some(), allowance: allowance() }
    }

    async fn ask(&self, form: Form, code: &str, work: Work<'_>) -> Result<Reply, WorkerError> {
        let request = Request {
            key: code,
            is_module: form == Form::Module,
            definition: code,
            allowance: self.allowance,
            work,
        };
        self.workers.ask(&request).await
    }

    /// What a definition says, or what is wrong with it.
    pub(crate) async fn describe(
        &self,
        form: Form,
        code: &str,
    ) -> Result<Description, Vec<Complaint>> {
        match self.ask(form, code, Work::Describe).await.expect("it answers") {
            Reply::Described(description) => Ok(description),
            Reply::Refused(complaints) => Err(complaints),
            other => unreachable!("{other:?}"),
        }
    }

    /// What comes of events that are applied to one entry.
    pub(crate) async fn apply(
        &self,
        code: &str,
        state: Option<&str>,
        events: &[(&str, &str)],
    ) -> Result<Applied, WorkerError> {
        let events = events.iter().map(|(name, json)| Given { name, json, entries: vec![0] });
        let entries = vec![Entry { state, metadata: None }];
        let work = Work::Apply { entries, events: events.collect(), traced: false };
        match self.ask(Form::Module, code, work).await? {
            Reply::Applied(applied) => Ok(applied),
            other => unreachable!("{other:?}"),
        }
    }

    /// The state that events lead to.
    pub(crate) async fn state(
        &self,
        code: &str,
        state: Option<&str>,
        events: &[(&str, &str)],
    ) -> String {
        let applied = self.apply(code, state, events).await.expect("it answers");
        assert_eq!(applied.fault, None);
        match applied.entries.as_slice() {
            [(0, Some(saved))] => saved.state.clone(),
            [(0, None)] => "deleted".to_owned(),
            other => format!("{other:?}"),
        }
    }

    pub(crate) async fn locate(&self, code: &str, events: &[&str]) -> Located {
        let events = events.iter().map(|json| Given { name: "e", json, entries: Vec::new() });
        match self
            .ask(Form::Module, code, Work::Locate { events: events.collect() })
            .await
            .expect("it answers")
        {
            Reply::Located(located) => located,
            other => unreachable!("{other:?}"),
        }
    }
}
