//! The worker itself: reads requests and answers them, one at a time.

use std::{io, process::ExitCode};

use super::{
    frames::{Allowance, Hello, Reply, Request, Work, read, value, write},
    jail,
    script::Script,
};

/// Definitions that are kept loaded.
const SCRIPTS_MAX: usize = 32;
/// What has more heap after its work is not kept.
const HEAP_KEPT: i64 = 8 << 20;

/// Works until the server is gone.
#[must_use]
pub fn work() -> ExitCode {
    warm_up();
    let hello = Hello { unlocked: jail::enter().err() };
    match answer_all(&hello) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Uses once what reads from the system at its first use: the clock, the time zone.
fn warm_up() {
    let code = "new Date(0).getHours(); export default {};";
    let allowance = Allowance {
        load_micros: 1_000_000,
        heap_bytes: 8 << 20,
        stack_bytes: 256 << 10,
        ..Allowance::default()
    };
    // It is none, which does not matter.
    drop(Script::load(true, code, &allowance));
}

fn answer_all(hello: &Hello) -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    write(&mut output, hello)?;
    let mut frame = Vec::new();
    // The last one was used last.
    let mut scripts: Vec<(String, Script)> = Vec::new();
    while read(&mut input, &mut frame)? {
        let request: Request<'_> = value(&frame)?;
        write(&mut output, &answer(&mut scripts, &request))?;
    }
    Ok(())
}

fn answer(scripts: &mut Vec<(String, Script)>, request: &Request<'_>) -> Reply {
    let allowance = &request.allowance;
    let known = scripts.iter().position(|(key, _)| key == request.key);
    let script = match known {
        Some(index) => scripts.remove(index).1,
        None => match Script::load(request.is_module, request.definition, allowance) {
            Ok(script) => script,
            Err(complaints) => return Reply::Refused(complaints),
        },
    };
    let reply = match &request.work {
        Work::Describe => Reply::Described(script.description.clone()),
        Work::Locate { events } => Reply::Located(script.locate(events, allowance)),
        Work::Apply { entries, events, traced } => {
            Reply::Applied(script.apply(entries, events, *traced, allowance))
        }
    };
    if script.runtime.memory_usage().malloc_size <= HEAP_KEPT {
        scripts.push((request.key.to_owned(), script));
    }
    if scripts.len() > SCRIPTS_MAX {
        scripts.remove(0);
    }
    reply
}
