//! The workers of a server: starts them, gives each one thing to do at a time, ends those that do not.
//!
//! A worker that is silent for too long, by its CPU time or by the clock, is killed; so is one whose question was
//! given up. Nothing is lost with it: what it was asked can be asked again.

use std::{os::fd::AsFd, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::{Mutex, Semaphore},
};

use crate::worker::frames::{FRAME_BYTES_MAX, Hello, Reply, Request, framed, value};

/// How often it is looked how a worker is doing.
const LOOK: Duration = Duration::from_millis(50);

/// Room in a pipe: the most that Linux gives without privileges (pipe(7)), and about what a batch has.
const PIPE_BYTES: usize = 1 << 20;

/// How long a worker may be silent.
#[derive(Debug, Clone, Copy)]
pub struct Silence {
    /// CPU time.
    pub cpu: Duration,
    pub clock: Duration,
}

impl Default for Silence {
    fn default() -> Self {
        Self { cpu: Duration::from_secs(2), clock: Duration::from_secs(10) }
    }
}

/// How a worker is started.
#[derive(Debug, Clone)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<String>,
}

impl Program {
    /// This very binary, which has a command for it.
    pub fn own() -> std::io::Result<Self> {
        // As it is now, even if another is put in its place.
        let running = PathBuf::from("/proc/self/exe");
        let path = if running.exists() { running } else { std::env::current_exe()? };
        Ok(Self { path, arguments: vec!["projector-worker".to_owned()] })
    }
}

/// Why a worker gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It was silent for too long, and was killed.
    #[error("it did not come to an end in {} s of CPU time, or {} s by the clock", .0.cpu.as_secs_f32(), .0.clock.as_secs_f32())]
    Stuck(Silence),
    /// It ended by itself.
    #[error("its process ended: {0}")]
    Ended(String),
    /// It could not be started.
    #[error("no worker can be started: {0}")]
    Unavailable(std::io::Error),
}

/// The workers of a server.
#[derive(Debug, Clone)]
pub struct Workers(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    program: Program,
    silence: Silence,
    permits: Semaphore,
    idle: Mutex<Vec<Worker>>,
}

impl Workers {
    /// At most so many at once; they are started when they are needed.
    #[must_use]
    pub fn new(program: Program, most: usize, silence: Silence) -> Self {
        let permits = Semaphore::new(most);
        Self(Arc::new(Pool { program, silence, permits, idle: Mutex::default() }))
    }

    /// As many as half of the cores, four at most.
    #[must_use]
    pub fn usual() -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        (cores / 2).clamp(1, 4)
    }

    /// Asks a worker. One that ends is asked once more: it may have been killed by somebody else.
    pub async fn ask(&self, request: &Request<'_>) -> Result<Reply, WorkerError> {
        let frame = framed(request).map_err(WorkerError::Unavailable)?;
        match self.attempt(&frame, false).await {
            Err(WorkerError::Ended(_)) => self.attempt(&frame, true).await,
            answered => answered,
        }
    }

    /// Asks one that is idle, or a new one.
    async fn attempt(&self, frame: &[u8], fresh: bool) -> Result<Reply, WorkerError> {
        let pool = &self.0;
        // The semaphore is never closed.
        let _permit = pool.permits.acquire().await;
        let idle = if fresh { None } else { pool.idle.lock().await.pop() };
        let mut worker = match idle {
            Some(worker) => worker,
            None => Worker::start(&pool.program, pool.silence).await?,
        };
        // One that is dropped before it has answered is killed.
        let reply = worker.ask(frame, pool.silence).await?;
        pool.idle.lock().await.push(worker);
        Ok(reply)
    }

    /// The processes that are idle.
    pub async fn idle(&self) -> Vec<u32> {
        self.0.idle.lock().await.iter().filter_map(|worker| worker.child.id()).collect()
    }
}

/// One process. Killed when it is dropped.
#[derive(Debug)]
struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    async fn start(program: &Program, silence: Silence) -> Result<Self, WorkerError> {
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).env_clear().env("TZ", "UTC").current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().map_err(WorkerError::Unavailable)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) =
            pipes.ok_or_else(|| WorkerError::Ended("it has no pipes".to_owned()))?;
        // So that it has all that it is asked at once, whatever else is done here; if there is less room, it waits.
        #[cfg(target_os = "linux")]
        for pipe in [input.as_fd(), output.as_fd()] {
            let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_BYTES);
        }
        let mut worker = Self { child, input, output: BufReader::new(output) };
        // That it does not begin is no fault of what it would have been asked.
        let begun = worker.answer::<Hello>(&[], silence).await;
        let hello = begun.map_err(|error| {
            WorkerError::Unavailable(std::io::Error::other(format!("it does not begin: {error}")))
        })?;
        if let Some(unlocked) = hello.unlocked {
            tracing::warn!(%unlocked, "projectors run in processes that are not locked in whole");
        }
        Ok(worker)
    }

    async fn ask(&mut self, frame: &[u8], silence: Silence) -> Result<Reply, WorkerError> {
        self.answer(frame, silence).await
    }

    /// Sends a frame, if there is one, and reads the next; all in time.
    async fn answer<T: for<'a> serde::Deserialize<'a>>(
        &mut self,
        frame: &[u8],
        silence: Silence,
    ) -> Result<T, WorkerError> {
        let id = self.child.id();
        let before = cpu_time(id);
        let exchange = async {
            self.input.write_all(frame).await?;
            let length = self.output.read_u32_le().await? as usize;
            if length > FRAME_BYTES_MAX {
                return Err(std::io::Error::other("a frame is too long"));
            }
            let mut answer = vec![0; length];
            self.output.read_exact(&mut answer).await?;
            value(&answer)
        };
        let stuck = async {
            // Looks are counted: while this process is stopped (a paused container), its workers may be too.
            let mut silent = Duration::ZERO;
            while silent < silence.clock {
                tokio::time::sleep(LOOK).await;
                silent += LOOK;
                let used = cpu_time(id).zip(before).map(|(now, before)| now.saturating_sub(before));
                if used.is_some_and(|used| used >= silence.cpu) {
                    return;
                }
            }
        };
        let answered = tokio::select! {
            biased;
            answered = exchange => answered,
            () = stuck => {
                self.end().await;
                return Err(WorkerError::Stuck(silence));
            }
        };
        match answered {
            Ok(answer) => Ok(answer),
            Err(error) => {
                let ended = self.end().await;
                Err(WorkerError::Ended(format!("{ended} ({error})")))
            }
        }
    }

    /// Kills it, and leaves nothing behind; how it ended.
    async fn end(&mut self) -> String {
        // It may have ended already.
        let _ = self.child.start_kill();
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }
}

/// The CPU time that a process has used, where the system tells it (proc_pid_stat(5)).
fn cpu_time(id: Option<u32>) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", id?)).ok()?;
    // The name, in parentheses, may have any character.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let (user, system): (u64, u64) = (fields.nth(11)?.parse().ok()?, fields.next()?.parse().ok()?);
    let millis = (user + system) * 1_000 / rustix::param::clock_ticks_per_second();
    Some(Duration::from_millis(millis))
}
