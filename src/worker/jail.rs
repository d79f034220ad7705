//! What a worker gives up before it sees user code: files, processes, the network, memory beyond a bound.
//!
//! Each lock is enough for what it is for; together they have to fail at once. Where the kernel has no `seccomp` the
//! others remain, and the server is told.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Memory that a worker may map: what its engines may hold together, and itself.
const ADDRESS_SPACE: u64 = 1 << 30;

/// Shuts the worker in, as far as it can. What could not be locked, in words.
pub fn enter() -> Result<(), String> {
    let limits = [
        (Resource::As, ADDRESS_SPACE),
        (Resource::Nofile, 3),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ];
    let mut unlocked = Vec::new();
    for (resource, most) in limits {
        // A limit that is lower already stays.
        let most = getrlimit(resource).maximum.map_or(most, |hard| hard.min(most));
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        if let Err(error) = setrlimit(resource, limit) {
            unlocked.push(format!("{resource:?}: {error}"));
        }
    }
    unlocked.extend(system::enter().err());
    if unlocked.is_empty() { Ok(()) } else { Err(unlocked.join(", ")) }
}

#[cfg(target_os = "linux")]
mod system {
    use std::collections::BTreeMap;

    use rustix::process::{
        DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal,
    };
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

    /// The calls that remain: memory, the two pipes, clocks, the end.
    const ALLOWED: [i64; 24] = [
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_futex,
        libc::SYS_clock_gettime,
        libc::SYS_gettimeofday,
        libc::SYS_getrandom,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_tgkill,
        libc::SYS_restart_syscall,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];

    pub(super) fn enter() -> Result<(), String> {
        let refused = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| refused("the parent's death", &error))?;
        // If it died before, the pipe is at its end.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(|error| refused("dumps", &error))?;
        let rules: BTreeMap<_, _> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
        let architecture = std::env::consts::ARCH.try_into();
        let filter = architecture
            .map_err(|error: seccompiler::BackendError| refused("seccomp", &error))
            .and_then(|architecture| {
                let (otherwise, listed) = (SeccompAction::KillProcess, SeccompAction::Allow);
                SeccompFilter::new(rules, otherwise, listed, architecture)
                    .map_err(|error| refused("seccomp", &error))
            })?;
        let program: BpfProgram = filter
            .try_into()
            .map_err(|error: seccompiler::BackendError| refused("seccomp", &error))?;
        // It also gives up ever gaining privileges.
        apply_filter(&program).map_err(|error| refused("seccomp", &error))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn enter() -> Result<(), String> {
        Err("this system has no seccomp".to_owned())
    }
}
