//! Applies events to entries: in their order, each state kept as the engine has it until all are done.
//!
//! An answer without a fault is whole: so many events, and every entry that they touched. With a fault it has no
//! entries, since the call that failed may have changed a state; what came before is asked for again.

use std::time::Duration;

use rquickjs::{CatchResultExt, Ctx, Function, Object, Persistent, Value};

use super::{
    budget::cpu_time,
    frames::{Allowance, Applied, Entry, Given, Located, Saved, Traced},
    script::{Initial, Script, Thrown, thrown},
};

/// Events after which the clock is read.
const TIMED_AT_ONCE: usize = 16;

impl Script {
    /// Tells the ids of events.
    pub(super) fn locate(&self, events: &[Given<'_>], allowance: &Allowance) -> Located {
        let mut located = Located::default();
        let since = cpu_time();
        self.context.with(|ctx| {
            let Some(calls) = Calls::of(self, &ctx, allowance) else { return };
            for (index, event) in (0..).zip(events) {
                match calls.ids(event) {
                    Ok(ids) => located.ids.push(ids),
                    Err(thrown) => {
                        located.fault = Some(self.fault(Some(index), None, thrown));
                        return;
                    }
                }
                if is_time(located.ids.len(), since, allowance) {
                    return;
                }
            }
        });
        located
    }

    /// Applies events.
    pub(super) fn apply(
        &self,
        entries: &[Entry<'_>],
        events: &[Given<'_>],
        traced: bool,
        allowance: &Allowance,
    ) -> Applied {
        let mut applied = Applied::default();
        let since = cpu_time();
        self.context.with(|ctx| {
            let Some(calls) = Calls::of(self, &ctx, allowance) else { return };
            let lines = if traced { allowance.console_lines } else { 0 };
            if calls.open.call::<_, ()>((lines,)).is_err() {
                return;
            }
            let mut held: Vec<Held<'_, '_>> = entries.iter().map(Held::Stored).collect();
            for (index, event) in (0..).zip(events) {
                for entry in &event.entries {
                    let Some(place) = held.get_mut(*entry as usize) else { continue };
                    let began = traced.then(cpu_time);
                    let done = calls.step(place, event);
                    let traced = traced && done.is_ok();
                    let done =
                        done.and_then(
                            |()| if traced { calls.saved(place).map(Some) } else { Ok(None) },
                        );
                    match done {
                        Err(thrown) => {
                            applied.fault = Some(self.fault(Some(index), Some(*entry), thrown));
                            applied.console = calls.console();
                            return;
                        }
                        Ok(None) => {}
                        Ok(Some(saved)) => {
                            let took = began.map_or(Duration::ZERO, |began| cpu_time() - began);
                            let micros = u64::try_from(took.as_micros());
                            applied.trace.push(Traced {
                                event: index,
                                entry: *entry,
                                saved,
                                micros: micros.unwrap_or(u64::MAX),
                                console: calls.lines.get("length").unwrap_or(0),
                            });
                        }
                    }
                }
                applied.events = index + 1;
                if is_time(applied.events as usize, since, allowance) {
                    break;
                }
            }
            applied.console = calls.console();
            for (index, place) in (0..).zip(&held) {
                if matches!(place, Held::Stored(_)) {
                    continue;
                }
                match calls.saved(place) {
                    Ok(saved) => applied.entries.push((index, saved)),
                    Err(thrown) => {
                        // Which event it was is found by those who ask for fewer at once.
                        let event = (applied.events == 1).then_some(0);
                        applied.fault = Some(self.fault(event, Some(index), thrown));
                        applied.entries.clear();
                        return;
                    }
                }
            }
        });
        if applied.fault.is_some() {
            applied.entries.clear();
        }
        applied
    }
}

fn is_time(done: usize, since: Duration, allowance: &Allowance) -> bool {
    let allowed = Duration::from_micros(allowance.batch_micros);
    done.is_multiple_of(TIMED_AT_ONCE) && cpu_time() - since >= allowed
}

/// An entry while events are applied.
enum Held<'a, 'js> {
    /// Nothing was applied yet.
    Stored(&'a Entry<'a>),
    Live {
        state: Value<'js>,
        metadata: Value<'js>,
    },
    Deleted,
}

/// The functions of a script in its engine.
struct Calls<'a, 'js> {
    script: &'a Script,
    ctx: &'a Ctx<'js>,
    allowance: &'a Allowance,
    handlers: Vec<(&'a str, Function<'js>)>,
    any: Option<Function<'js>>,
    id: Option<Function<'js>>,
    update_metadata: Option<Function<'js>>,
    parse: Function<'js>,
    open: Function<'js>,
    lines: Object<'js>,
}

impl<'a, 'js> Calls<'a, 'js> {
    fn of(script: &'a Script, ctx: &'a Ctx<'js>, allowance: &'a Allowance) -> Option<Self> {
        let functions = &script.functions;
        let restore = |kept: &Persistent<Function<'static>>| kept.clone().restore(ctx).ok();
        let optional =
            |kept: &Option<Persistent<Function<'static>>>| kept.as_ref().and_then(restore);
        let handlers = functions.handlers.iter();
        let handlers = handlers.map(|(name, kept)| Some((name.as_str(), restore(kept)?)));
        Some(Self {
            script,
            ctx,
            allowance,
            handlers: handlers.collect::<Option<_>>()?,
            any: optional(&functions.any),
            id: optional(&functions.id),
            update_metadata: optional(&functions.update_metadata),
            parse: restore(&functions.parse)?,
            open: restore(&functions.open)?,
            lines: functions.lines.clone().restore(ctx).ok()?,
        })
    }

    /// Calls something in the budget of one call.
    fn within<T>(&self, call: impl FnOnce() -> rquickjs::Result<T>) -> Result<T, Thrown> {
        let allowed = Duration::from_micros(self.allowance.call_micros);
        self.script.budget.begin(allowed);
        call().catch(self.ctx).map_err(|error| thrown(&error, &self.script.budget, allowed))
    }

    /// A text as a value, integers exact.
    fn parsed(&self, text: &str) -> rquickjs::Result<Value<'js>> {
        if is_long(text) { self.parse.call((text,)) } else { self.ctx.json_parse(text) }
    }

    /// The ids of an event.
    fn ids(&self, event: &Given<'_>) -> Result<Vec<String>, Thrown> {
        let Some(id) = &self.id else { return Ok(Vec::new()) };
        let found: Value<'js> = self.within(|| id.call((self.parsed(event.json)?,)))?;
        if found.is_null() || found.is_undefined() {
            return Ok(Vec::new());
        }
        if let Some(text) = found.as_string() {
            return Ok(vec![self.within(|| text.to_string())?]);
        }
        let wrong = || Thrown::new("`id` gave neither a string, nor an array of strings, nor null");
        let array = found.as_array().ok_or_else(wrong)?;
        if array.len() > self.allowance.ids {
            let most = self.allowance.ids;
            return Err(Thrown::new(format!("`id` gave {} ids of {most}", array.len())));
        }
        let ids = array.iter::<Value<'js>>().map(|id| {
            let id = self.within(|| id)?;
            let text = id.as_string().ok_or_else(wrong)?;
            self.within(|| text.to_string())
        });
        let mut ids = ids.collect::<Result<Vec<_>, _>>()?;
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// Applies an event to an entry.
    fn step(&self, place: &mut Held<'_, 'js>, event: &Given<'_>) -> Result<(), Thrown> {
        let own = self.handlers.iter().find(|(name, _)| *name == event.name);
        let Some(handler) = own.map(|(_, handler)| handler).or(self.any.as_ref()) else {
            return Err(Thrown::new("it has no handler"));
        };
        let (state, metadata) = match place {
            Held::Live { state, metadata } => (state.clone(), metadata.clone()),
            Held::Stored(Entry { state: Some(state), metadata }) => {
                let metadata = metadata.unwrap_or("null");
                (self.within(|| self.parsed(state))?, self.within(|| self.parsed(metadata))?)
            }
            Held::Stored(_) | Held::Deleted => {
                let functions = &self.script.functions;
                (
                    self.initial(&functions.initial_state)?,
                    self.initial(&functions.initial_metadata)?,
                )
            }
        };
        let (after, value): (Value<'js>, Value<'js>) = self.within(|| {
            let value = self.parsed(event.json)?;
            Ok((handler.call((state.clone(), value.clone()))?, value))
        })?;
        if after.is_null() {
            *place = Held::Deleted;
            return Ok(());
        }
        let state = self.data(after, state, "a handler")?;
        let metadata = match &self.update_metadata {
            None => metadata,
            Some(update) => {
                // The handler may have changed the event it saw, but not the one that is stored.
                let call = || update.call((state.clone(), metadata.clone(), value));
                self.data(self.within(call)?, metadata.clone(), "`update_metadata`")?
            }
        };
        *place = Held::Live { state, metadata };
        Ok(())
    }

    fn initial(&self, initial: &Initial) -> Result<Value<'js>, Thrown> {
        match initial {
            Initial::Text(text) => self.within(|| self.parsed(text)),
            Initial::Function(function) => {
                self.within(|| function.clone().restore(self.ctx)?.call(()))
            }
        }
    }

    /// What a call gave; what it was given, if it gave nothing.
    fn data(&self, given: Value<'js>, kept: Value<'js>, who: &str) -> Result<Value<'js>, Thrown> {
        if given.is_undefined() {
            return Ok(kept);
        }
        let kind = match &given {
            given if given.is_promise() => "a promise; it cannot wait for anything",
            given if given.is_function() => "a function",
            given if given.is_symbol() => "a symbol",
            _ => return Ok(given),
        };
        Err(Thrown::new(format!("{who} gave {kind}")))
    }

    /// An entry as text.
    fn saved(&self, place: &Held<'_, 'js>) -> Result<Option<Saved>, Thrown> {
        let Held::Live { state, metadata } = place else { return Ok(None) };
        let state = self.text(state, self.allowance.state_bytes, "state")?;
        let metadata = self.text(metadata, self.allowance.metadata_bytes, "metadata")?;
        Ok(Some(Saved { state, metadata }))
    }

    fn text(&self, value: &Value<'js>, most: usize, what: &str) -> Result<String, Thrown> {
        let text = self.within(|| {
            let text = self.ctx.json_stringify(value.clone())?;
            text.map(|text| text.to_string()).transpose()
        })?;
        let text = text.ok_or_else(|| Thrown::new(format!("the {what} is no JSON")))?;
        if text.len() > most {
            let length = text.len();
            return Err(Thrown::new(format!("the {what} has {length} bytes of {most}")));
        }
        Ok(text)
    }

    fn console(&self) -> Vec<String> {
        let mut left = self.allowance.console_bytes;
        let lines = self.lines.as_array().cloned();
        let lines = lines.iter().flat_map(rquickjs::Array::iter::<String>).filter_map(Result::ok);
        let cut = |mut line: String| {
            line.truncate(line.floor_char_boundary(left));
            left -= line.len();
            line
        };
        lines.map(cut).collect()
    }
}

/// Digits of an integer that the engine's numbers may not hold.
const LONG: usize = 16;

/// Whether a text has so many digits in a row: then one of them stands at every so manieth byte.
fn is_long(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |bytes: &mut dyn Iterator<Item = &u8>| {
        bytes.take_while(|byte| byte.is_ascii_digit()).take(LONG).count()
    };
    let long = |at: &usize| {
        let (before, after) = bytes.split_at(*at);
        let follow = digits(&mut after.iter());
        follow > 0 && follow + digits(&mut before.iter().rev()) >= LONG
    };
    (LONG - 1..bytes.len()).step_by(LONG).any(|at| long(&at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_integers_are_found_wherever_they_stand() {
        for before in 0..40 {
            for digits in 0..40 {
                for after in 0..20 {
                    let text = ["x".repeat(before), "7".repeat(digits), "x".repeat(after)].concat();
                    assert_eq!(is_long(&text), digits >= LONG, "{text}");
                }
            }
        }
        assert!(!is_long("123456789012345,123456789012345,12345678"));
    }
}
