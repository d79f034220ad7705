//! A client of a server: publishes, defines projectors, and waits for what they make of it.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::interval};

/// Events of one request, each of another stream; and requests at once.
const AT_ONCE: usize = 1_000;
const FILLERS: usize = 4;
/// How long it may take until all is projected, and how often it is looked.
const PATIENCE: Duration = Duration::from_secs(3_600);
const LOOK: Duration = Duration::from_millis(50);
/// Streams of the events whose way is timed. One publish of so many is: who waits must not be the load.
const LATE_STREAMS: usize = 100;
const TIMED: usize = 10;

/// The definition that is measured: it counts, adds up and keeps the last one.
pub(crate) fn definition(category: &str) -> String {
    format!(
        "export default {{ source: {{ category: '{category}' }}, initial_state: {{ n: 0, cents: 0 }},
           handlers: {{ e: (s, {{ payload }}) =>
             ({{ n: s.n + 1, cents: s.cents + payload.cents, last: payload.sku }}) }} }};"
    )
}

/// An event as it is published, of so many bytes.
fn published(number: usize, bytes: usize) -> Value {
    let event = |note: &str| {
        let (cents, sku) = (number % 1_000, format!("sku-{:06}", number % 997));
        json!({"name": "e", "payload": {"cents": cents, "sku": sku, "note": note}})
    };
    let bare = event("").to_string().len();
    event(&"x".repeat(bytes.saturating_sub(bare)))
}

/// The same as a worker gets it.
pub(crate) fn given(number: usize, bytes: usize) -> String {
    let time = "2026-01-01T00:00:00.000001Z";
    let mut event = published(number, bytes);
    let rest = json!({
        "id": "019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71", "category": "any", "stream": "s1234",
        "position": number, "sequence_number": number + 1, "metadata": null,
        "occurred_at": time, "observed_at": time, "recorded_at": time,
    });
    if let (Some(event), Value::Object(rest)) = (event.as_object_mut(), rest) {
        event.extend(rest);
    }
    event.to_string()
}

/// Times, in order, and how many publishes a second there were.
pub(crate) struct Latencies {
    pub times: Vec<Duration>,
    pub rate: f64,
}

impl Latencies {
    /// The time within which such a part of them was.
    pub(crate) fn at(&self, part: f64) -> Duration {
        let rank = (self.times.len() as f64 * part).ceil().max(1.0);
        let below = |index: &usize| (*index as f64) < rank;
        let last = (0..self.times.len()).take_while(below).last();
        last.map_or(Duration::ZERO, |last| self.times[last])
    }
}

/// One client of a server.
#[derive(Clone)]
pub(crate) struct Load {
    client: Client,
    log: String,
    bytes: usize,
}

async fn answer(request: RequestBuilder) -> anyhow::Result<Value> {
    let response = request.send().await?;
    let (status, path) = (response.status(), response.url().path().to_owned());
    let text = response.text().await?;
    ensure!(status.is_success(), "{path}: {status} {text}");
    Ok(serde_json::from_str(&text)?)
}

impl Load {
    #[expect(clippy::disallowed_methods, reason = "the bench is a client")]
    pub(crate) fn of(url: &str, bytes: usize) -> anyhow::Result<Self> {
        // It may be installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().tls_certs_only([]).timeout(Duration::from_secs(60));
        Ok(Self { client: client.build()?, log: format!("{url}/v1/logs/default"), bytes })
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        answer(self.client.get(format!("{}{path}", self.log))).await
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        answer(self.client.post(format!("{}{path}", self.log)).json(body)).await
    }

    pub(crate) async fn define(&self, projector: &str, category: &str) -> anyhow::Result<()> {
        let put = self.client.put(format!("{}/projectors/{projector}", self.log));
        let put = put.header("content-type", "text/javascript").body(definition(category));
        answer(put).await.map(drop)
    }

    /// Waits until a projector has caught up with so many events.
    pub(crate) async fn applied(&self, projector: &str, events: usize) -> anyhow::Result<()> {
        let (began, mut looks) = (Instant::now(), interval(LOOK));
        loop {
            looks.tick().await;
            let told = self.get(&format!("/projectors/{projector}")).await?;
            let applied = told["revisions"][0]["events"].as_u64();
            if told["status"] == "live" && applied == Some(u64::try_from(events)?) {
                return Ok(());
            }
            ensure!(told["status"] != "faulted" && began.elapsed() < PATIENCE, "{told}");
        }
    }

    /// Publishes events, to one stream after the other.
    pub(crate) async fn fill(
        &self,
        category: &str,
        events: usize,
        streams: usize,
    ) -> anyhow::Result<()> {
        let mut fillers = JoinSet::new();
        for filler in 0..FILLERS {
            let (load, path) = (self.clone(), format!("/categories/{category}/events"));
            fillers.spawn(async move {
                for first in (0..events).step_by(AT_ONCE).skip(filler).step_by(FILLERS) {
                    let writes = (first..events.min(first + AT_ONCE)).map(|number| {
                        let stream = format!("s{}", number % streams);
                        json!({"stream": stream, "events": [published(number, load.bytes)]})
                    });
                    let body = json!({ "writes": writes.collect::<Vec<_>>() });
                    load.post(&path, &body).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = fillers.join_next().await {
            done??;
        }
        Ok(())
    }

    /// Publishes events to one stream.
    pub(crate) async fn fill_stream(
        &self,
        category: &str,
        stream: &str,
        events: usize,
    ) -> anyhow::Result<()> {
        let path = format!("/categories/{category}/streams/{stream}/events");
        for first in (0..events).step_by(AT_ONCE) {
            let some = first..events.min(first + AT_ONCE);
            let some: Vec<Value> = some.map(|number| published(number, self.bytes)).collect();
            self.post(&path, &json!({ "events": some })).await?;
        }
        Ok(())
    }

    /// Events a second, from the definition of a projector until it is live and has applied them all.
    pub(crate) async fn project(
        &self,
        category: &str,
        events: usize,
        streams: usize,
    ) -> anyhow::Result<f64> {
        let began = Instant::now();
        self.define(category, category).await?;
        self.applied(category, events).await?;
        let rate = events as f64 / began.elapsed().as_secs_f64();
        let found = self.post(&format!("/projections/{category}/count"), &json!({})).await?;
        let entries = u64::try_from(streams.min(events))?;
        ensure!(found["count"].as_u64() == Some(entries), "{found} of {entries} entries");
        Ok(rate)
    }

    /// How long it takes from the acknowledgement of a publish until one projection of many has it.
    pub(crate) async fn latency(
        &self,
        category: &str,
        projectors: usize,
        rate: u32,
        time: Duration,
    ) -> anyhow::Result<Latencies> {
        for projector in 0..projectors {
            self.define(&format!("{category}-{projector}"), category).await?;
        }
        let (began, mut ticks) = (Instant::now(), interval(Duration::from_secs(1) / rate));
        let (mut publishes, mut count) = (JoinSet::new(), 0);
        while began.elapsed() < time {
            ticks.tick().await;
            let projector = format!("{category}-{}", count / TIMED % projectors);
            // What comes first finds workers and connections that are not there yet.
            let timed = count % TIMED == 0 && began.elapsed() > time / 10;
            let (load, category) = (self.clone(), category.to_owned());
            publishes.spawn(async move {
                let stream = format!("s{}", count % LATE_STREAMS);
                let late = load.publish(count, &category, &stream).await?;
                if timed {
                    load.until(&projector, &stream, &late).await.map(Some)
                } else {
                    Ok(None)
                }
            });
            count += 1;
        }
        let rate = count as f64 / began.elapsed().as_secs_f64();
        let mut times = Vec::new();
        while let Some(done) = publishes.join_next().await {
            times.extend(done??);
        }
        times.sort_unstable();
        for projector in 0..projectors {
            self.applied(&format!("{category}-{projector}"), count).await?;
        }
        Ok(Latencies { times, rate })
    }

    /// Publishes one event; the answer.
    async fn publish(&self, number: usize, category: &str, stream: &str) -> anyhow::Result<Value> {
        let body = json!({"events": [published(number, self.bytes)]});
        self.post(&format!("/categories/{category}/streams/{stream}/events"), &body).await
    }

    /// How long it takes from now on until a projection has what was published.
    async fn until(&self, projector: &str, id: &str, ack: &Value) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let number = &ack["sequence_number"];
        let reached = format!("min_sequence_number={number}&wait=10");
        let entry = self.get(&format!("/projections/{projector}/entries/{id}?{reached}")).await?;
        let took = began.elapsed();
        let position = ack["events"][0]["position"].as_u64().context("an event has a position")?;
        let counted = entry["state"]["n"].as_u64();
        ensure!(counted > Some(position), "{entry} after {ack}");
        Ok(took)
    }
}
