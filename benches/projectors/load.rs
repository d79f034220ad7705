//! A client that publishes, defines projectors and asks.

use std::time::{Duration, Instant};

use anyhow::ensure;
use reqwest::Client;
use serde_json::{Value, json};

/// Events of one request.
const AT_ONCE: usize = 5_000;
/// Streams of one request.
const STREAMS_AT_ONCE: usize = 1_000;

/// The definition that is measured with: it counts, adds up and keeps the last one.
pub(crate) fn definition(category: &str) -> String {
    format!(
        "export default {{ source: {{ category: '{category}' }}, initial_state: {{ n: 0, cents: 0 }},
           handlers: {{ e: (s, {{ payload }}) => ({{ n: s.n + 1, cents: s.cents + payload.cents, last: payload.sku }}) }} }};"
    )
}

fn payload(n: usize) -> Value {
    json!({"cents": n % 1_000, "sku": format!("sku-{:06}", n % 997), "note": "x".repeat(60)})
}

/// An event as handlers see it.
pub(crate) fn event(stream: &str, n: usize) -> String {
    let time = "2026-01-01T00:00:00.000001Z";
    let event = json!({
        "id": "019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71", "category": "any", "stream": stream, "position": n,
        "sequence_number": n + 1, "name": "e", "payload": payload(n), "metadata": null,
        "occurred_at": time, "observed_at": time, "recorded_at": time,
    });
    event.to_string()
}

/// One client of a server.
pub(crate) struct Load {
    client: Client,
    log: String,
}

impl Load {
    #[expect(clippy::disallowed_methods, reason = "this is a client")]
    pub(crate) fn of(url: &str) -> Self {
        // It is the first one of the process, and speaks to this machine alone.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { client: Client::new(), log: format!("{url}/v1/logs/default") }
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let response = self.client.post(format!("{}{path}", self.log)).json(body).send().await?;
        let (status, text) = (response.status(), response.text().await?);
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let response = self.client.get(format!("{}{path}", self.log)).send().await?;
        let (status, text) = (response.status(), response.text().await?);
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }

    async fn define(&self, projector: &str, category: &str) -> anyhow::Result<()> {
        let put = self.client.put(format!("{}/projectors/{projector}", self.log));
        let put = put.header("content-type", "text/javascript").body(definition(category));
        let status = put.send().await?.status();
        ensure!(status.is_success(), "{projector}: {status}");
        Ok(())
    }

    /// Publishes events, spread over streams.
    pub(crate) async fn fill(
        &self,
        category: &str,
        events: usize,
        streams: usize,
    ) -> anyhow::Result<()> {
        let numbers: Vec<usize> = (0..events).collect();
        // In turn, so that a batch has as many ids as events.
        for part in numbers.chunks(STREAMS_AT_ONCE) {
            let writes = part.iter().map(|n| {
                let events = json!([{"name": "e", "payload": payload(*n)}]);
                json!({"stream": format!("s{}", n % streams), "events": events})
            });
            let writes: Vec<Value> = writes.collect();
            self.post(&format!("/categories/{category}/events"), &json!({ "writes": writes }))
                .await?;
        }
        Ok(())
    }

    /// Events a second, from the definition of a projector until it is live.
    pub(crate) async fn project(&self, category: &str, events: usize) -> anyhow::Result<f64> {
        let began = Instant::now();
        self.define(category, category).await?;
        loop {
            let told = self.get(&format!("/projectors/{category}")).await?;
            ensure!(told["status"] != "faulted", "{told}");
            let applied = told["revisions"][0]["events"].as_u64();
            if told["status"] == "live" && applied == u64::try_from(events).ok() {
                return Ok(events as f64 / began.elapsed().as_secs_f64());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// From the acknowledgement of a publish until one of so many projections has it: the median, and the 99th of 100.
    pub(crate) async fn latency(
        &self,
        category: &str,
        projectors: usize,
        rate: u32,
        time: Duration,
    ) -> anyhow::Result<(Duration, Duration)> {
        let names: Vec<String> = (0..projectors).map(|n| format!("{category}-{n}")).collect();
        for name in &names {
            self.define(name, category).await?;
        }
        let (began, mut waits) = (Instant::now(), tokio::task::JoinSet::new());
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
        for n in 0.. {
            ticks.tick().await;
            if began.elapsed() > time {
                break;
            }
            let (name, stream) = (names[n % names.len()].clone(), format!("s{}", n % 100));
            let load = Self { client: self.client.clone(), log: self.log.clone() };
            let events = format!("/categories/{category}/streams/{stream}/events");
            // One in ten is waited for, so that those who wait are not the load.
            let asked = n % 10 == 0;
            waits.spawn(async move {
                let body = json!({"events": [{"name": "e", "payload": payload(n)}]});
                let number = load.post(&events, &body).await?["sequence_number"].clone();
                if !asked {
                    return Ok(None);
                }
                let acknowledged = Instant::now();
                let reached = format!("min_sequence_number={number}&wait=10");
                load.get(&format!("/projections/{name}/entries/{stream}?{reached}")).await?;
                Ok::<_, anyhow::Error>(Some(acknowledged.elapsed()))
            });
        }
        let mut found = Vec::new();
        while let Some(done) = waits.join_next().await {
            found.extend(done??);
        }
        found.sort_unstable();
        ensure!(!found.is_empty(), "nothing was waited for");
        Ok((found[found.len() / 2], found[found.len() * 99 / 100]))
    }

    /// The state of a stream of so many events, on demand: of one that nobody asked for before, and then again; medians
    /// of five streams.
    pub(crate) async fn state(
        &self,
        category: &str,
        events: usize,
    ) -> anyhow::Result<(Duration, Duration)> {
        let category = format!("{category}-{events}");
        self.define(&category, &category).await?;
        let (mut first, mut again) = (Vec::new(), Vec::new());
        for round in 0..5 {
            let stream = format!("r{round}");
            for part in (0..events).collect::<Vec<_>>().chunks(AT_ONCE) {
                let of = part.iter().map(|n| json!({"name": "e", "payload": payload(*n)}));
                let body = json!({"events": of.collect::<Vec<_>>()});
                let path = format!("/categories/{category}/streams/{stream}/events");
                self.post(&path, &body).await?;
            }
            // What projects them is not measured, and not beside it either.
            let end = self.get("/events/latest").await?["sequence_number"].clone();
            let reached = format!("min_sequence_number={end}&wait=60");
            self.get(&format!("/projections/{category}/entries/{stream}?{reached}")).await?;
            let path =
                format!("/categories/{category}/streams/{stream}/state?projector={category}");
            for times in [&mut first, &mut again] {
                let began = Instant::now();
                let told = self.get(&path).await?;
                times.push(began.elapsed());
                ensure!(told["state"]["n"].as_u64() == u64::try_from(events).ok(), "{told}");
                // What was kept is there the next time.
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        first.sort_unstable();
        again.sort_unstable();
        Ok((first[2], again[2]))
    }
}
