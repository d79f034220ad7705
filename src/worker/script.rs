//! A definition that is loaded: an engine of its own, with its functions.

use std::time::Duration;

use rquickjs::{
    CatchResultExt, CaughtError, Context, Ctx, Function, Module, Object, Persistent, Runtime,
    Value,
    context::{EvalOptions, intrinsic},
};

use super::{
    budget::Budget,
    frames::{Allowance, Complaint, Description, Fault},
    source::position,
};

/// What is there of the language; no typed arrays, proxies, weak references or clocks.
type Intrinsics = (
    intrinsic::Date,
    intrinsic::Eval,
    intrinsic::RegExpCompiler,
    intrinsic::RegExp,
    intrinsic::Json,
    intrinsic::MapSet,
    intrinsic::Promise,
);

const PRELUDE: &str = include_str!("prelude.js");
/// The name of a module in places of its code.
const MODULE: &str = "projector.js";
/// Bytes of a message and of a stack.
const MESSAGE_BYTES: usize = 2 << 10;

type Kept<T> = Persistent<T>;

/// A definition with its engine. Nothing of it outlives it.
pub(super) struct Script {
    // In the order in which they are dropped.
    pub(super) functions: Functions,
    pub(super) context: Context,
    pub(super) runtime: Runtime,
    pub(super) budget: Budget,
    pub(super) code: Code,
    pub(super) description: Description,
}

/// What is called.
pub(super) struct Functions {
    pub(super) handlers: Vec<(String, Kept<Function<'static>>)>,
    pub(super) any: Option<Kept<Function<'static>>>,
    pub(super) id: Option<Kept<Function<'static>>>,
    pub(super) update_metadata: Option<Kept<Function<'static>>>,
    pub(super) initial_state: Initial,
    pub(super) initial_metadata: Initial,
    /// Of the prelude.
    pub(super) parse: Kept<Function<'static>>,
    pub(super) open: Kept<Function<'static>>,
    pub(super) lines: Kept<Object<'static>>,
}

/// What an entry begins with.
pub(super) enum Initial {
    Text(String),
    Function(Kept<Function<'static>>),
}

/// The code of a definition, by the files that places name.
#[derive(Debug, Clone)]
pub(super) struct Code(Vec<(String, String, String)>);

impl Code {
    /// The file, its pointer and its text that a stack speaks of.
    fn find(&self, stack: &str) -> Option<(&str, super::frames::Position)> {
        // The innermost place comes first.
        stack.lines().find_map(|line| {
            self.0.iter().find_map(|(file, pointer, text)| {
                // A function that was sent as a string stands on the second line.
                let before = u32::from(file != MODULE);
                Some((pointer.as_str(), position(line, file, text, before)?))
            })
        })
    }
}

/// What a call threw.
pub(super) struct Thrown {
    pub(super) message: String,
    pub(super) stack: String,
}

impl Thrown {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), stack: String::new() }
    }
}

impl Script {
    /// Loads a definition.
    pub(super) fn load(
        is_module: bool,
        text: &str,
        allowance: &Allowance,
    ) -> Result<Self, Vec<Complaint>> {
        let whole =
            |message: String| vec![Complaint { pointer: String::new(), message, place: None }];
        let broken = |error: rquickjs::Error| whole(format!("the engine does not start: {error}"));
        let runtime = Runtime::new().map_err(broken)?;
        runtime.set_memory_limit(allowance.heap_bytes);
        runtime.set_max_stack_size(allowance.stack_bytes);
        let budget = Budget::default();
        let asked = budget.clone();
        runtime.set_interrupt_handler(Some(Box::new(move || asked.is_over())));
        let context = Context::builder().with::<Intrinsics>().build(&runtime).map_err(broken)?;
        let allowed = Duration::from_micros(allowance.load_micros);
        budget.begin(allowed);
        let loaded = context.with(|ctx| {
            let prelude: Object<'_> = ctx
                .eval(PRELUDE)
                .catch(&ctx)
                .map_err(|error| whole(format!("prelude: {error}")))?;
            budget.begin(allowed);
            let mut loading = Loading {
                ctx: &ctx,
                budget: &budget,
                allowed,
                code: Code(Vec::new()),
                complaints: Vec::new(),
            };
            let definition = if is_module { loading.module(text) } else { loading.parts(text) };
            let functions = definition.and_then(|definition| loading.read(&definition, &prelude));
            match functions {
                Some(done) if loading.complaints.is_empty() => Ok((done, loading.code)),
                _ => Err(loading.complaints),
            }
        });
        let ((functions, description), code) = loaded?;
        Ok(Self { functions, context, runtime, budget, code, description })
    }

    /// What was thrown, as it is told.
    pub(super) fn fault(&self, event: Option<u32>, entry: Option<u32>, thrown: Thrown) -> Fault {
        let place = self.code.find(&thrown.stack).map(|(_, place)| place);
        Fault { event, entry, message: thrown.message, stack: thrown.stack, place }
    }
}

/// What was thrown by a call that was made in a budget.
pub(super) fn thrown(error: &CaughtError<'_>, budget: &Budget, allowed: Duration) -> Thrown {
    if budget.was_over() {
        let message = format!("it took more than {} ms of CPU time", allowed.as_millis());
        return Thrown { message, stack: stack(error) };
    }
    let message = match error {
        CaughtError::Exception(exception) => {
            let name: Option<String> = exception.as_object().get("name").ok();
            let message = exception.message().unwrap_or_default();
            match name.filter(|name| !name.is_empty()) {
                Some(name) => format!("{name}: {message}"),
                None => message,
            }
        }
        CaughtError::Value(value) => format!("threw {}", told(value)),
        CaughtError::Error(error) => error.to_string(),
    };
    Thrown { message: cut(message), stack: stack(error) }
}

fn stack(error: &CaughtError<'_>) -> String {
    match error {
        CaughtError::Exception(exception) => cut(exception.stack().unwrap_or_default()),
        CaughtError::Value(_) | CaughtError::Error(_) => String::new(),
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MESSAGE_BYTES));
    text
}

/// A value that is no error, in words.
fn told(value: &Value<'_>) -> String {
    let text = value.ctx().json_stringify(value.clone()).ok().flatten();
    let text = text.and_then(|text| text.to_string().ok());
    cut(text.unwrap_or_else(|| value.type_name().to_owned()))
}

/// A definition that is being read.
struct Loading<'a, 'js> {
    ctx: &'a Ctx<'js>,
    budget: &'a Budget,
    allowed: Duration,
    code: Code,
    complaints: Vec<Complaint>,
}

/// The members of a definition.
const MEMBERS: [&str; 11] = [
    "source",
    "handlers",
    "initial_state",
    "initial_metadata",
    "id",
    "update_metadata",
    "missing_handler",
    "on_error",
    "activate",
    "limits",
    "language",
];

impl<'js> Loading<'_, 'js> {
    fn complain(&mut self, pointer: &str, message: impl Into<String>) {
        let complaint =
            Complaint { pointer: pointer.to_owned(), message: message.into(), place: None };
        self.complaints.push(complaint);
    }

    fn complain_of(&mut self, pointer: &str, error: &CaughtError<'_>) {
        let Thrown { message, stack } = thrown(error, self.budget, self.allowed);
        let (pointer, place) = match self.code.find(&stack) {
            Some((found, place)) if pointer.is_empty() => (found.to_owned(), Some(place)),
            found => (pointer.to_owned(), found.map(|(_, place)| place)),
        };
        self.complaints.push(Complaint { pointer, message, place });
    }

    /// The default export of a module.
    fn module(&mut self, text: &str) -> Option<Object<'js>> {
        self.code.0.push((MODULE.to_owned(), String::new(), text.to_owned()));
        let evaluated = Module::declare(self.ctx.clone(), MODULE, text)
            .and_then(Module::eval)
            .and_then(|(module, promise)| promise.finish::<()>().map(|()| module));
        let module = match evaluated.catch(self.ctx) {
            Ok(module) => module,
            Err(CaughtError::Error(rquickjs::Error::WouldBlock)) => {
                self.complain("", "the module waits for something that does not come");
                return None;
            }
            Err(error) => {
                self.complain_of("", &error);
                return None;
            }
        };
        let default: Option<Object<'js>> = module.get("default").ok();
        if default.is_none() {
            self.complain("", "there is no default export: begin with `export default {`");
        }
        default
    }

    /// An object whose functions were sent as strings.
    fn parts(&mut self, text: &str) -> Option<Object<'js>> {
        let parsed: rquickjs::Result<Value<'js>> = self.ctx.json_parse(text);
        let object = parsed.ok().and_then(Value::into_object).filter(|object| !object.is_array());
        let Some(object) = object else {
            self.complain("", "expected an object");
            return None;
        };
        for name in ["id", "update_metadata"] {
            self.compile(&object, name, &format!("/{name}"));
        }
        for name in ["initial_state", "initial_metadata"] {
            let text: Option<String> = object.get(name).ok();
            if text.is_some_and(|text| text.contains("=>") || text.starts_with("function")) {
                self.compile(&object, name, &format!("/{name}"));
            }
        }
        let handlers: Option<Object<'js>> = object.get("handlers").ok();
        if let Some(handlers) = handlers {
            let names: Vec<String> = handlers.keys().filter_map(Result::ok).collect();
            for name in names {
                self.compile(&handlers, &name, &format!("/handlers/{}", escaped(&name)));
            }
        }
        Some(object)
    }

    /// Puts a function in the place of its text.
    fn compile(&mut self, object: &Object<'js>, name: &str, pointer: &str) {
        let Ok(text) = object.get::<_, String>(name) else { return };
        let file = format!("definition{pointer}");
        self.code.0.push((file.clone(), pointer.to_owned(), text.clone()));
        let mut options = EvalOptions::default();
        options.filename = Some(file);
        // On a line of its own the text keeps its columns, and a comment at its end ends.
        let wrapped = format!("(\n{text}\n)");
        let compiled: rquickjs::Result<Value<'js>> = self.ctx.eval_with_options(wrapped, options);
        match compiled.catch(self.ctx) {
            Ok(value) => {
                let _ = object.set(name, value);
            }
            Err(error) => self.complain_of(pointer, &error),
        }
    }

    fn read(
        &mut self,
        definition: &Object<'js>,
        prelude: &Object<'js>,
    ) -> Option<(Functions, Description)> {
        let keys: Vec<String> = definition.keys().filter_map(Result::ok).collect();
        for key in keys.iter().filter(|key| !MEMBERS.contains(&key.as_str())) {
            let known = MEMBERS.map(|name| format!("`{name}`")).join(", ");
            self.complain(
                &format!("/{}", escaped(key)),
                format!("no such member; expected {known}"),
            );
        }
        let mut description = Description::default();
        let (mut handlers, mut any) = (Vec::new(), None);
        match self.member(definition, "handlers").and_then(Value::into_object) {
            Some(object) if !object.is_array() && !object.is_function() => {
                let names: Vec<String> = object.keys().filter_map(Result::ok).collect();
                for name in names {
                    let value = self.member(&object, &name);
                    let Some(function) = value.and_then(Value::into_function) else {
                        let pointer = format!("/handlers/{}", escaped(&name));
                        // What does not compile was told already.
                        if !self.complaints.iter().any(|known| known.pointer == pointer) {
                            self.complain(&pointer, "expected a function of (state, event)");
                        }
                        continue;
                    };
                    let function = Persistent::save(self.ctx, function);
                    if name == "*" {
                        any = Some(function);
                    } else {
                        description.handlers.push(name.clone());
                        handlers.push((name, function));
                    }
                }
                if handlers.is_empty() && any.is_none() && self.complaints.is_empty() {
                    self.complain("/handlers", "expected a handler at least");
                }
            }
            _ => self
                .complain("/handlers", "expected an object of functions, by the names of events"),
        }
        description.any = any.is_some();
        let id = self.function(definition, "id");
        description.has_id = id.is_some();
        description.plain = self.plain(definition);
        let parse: Function<'js> = prelude.get("parse").ok()?;
        let open: Function<'js> = prelude.get("open").ok()?;
        let lines: Object<'js> = prelude.get("lines").ok()?;
        let functions = Functions {
            handlers,
            any,
            id,
            update_metadata: self.function(definition, "update_metadata"),
            initial_state: self.initial(definition, "initial_state"),
            initial_metadata: self.initial(definition, "initial_metadata"),
            parse: Persistent::save(self.ctx, parse),
            open: Persistent::save(self.ctx, open),
            lines: Persistent::save(self.ctx, lines),
        };
        Some((functions, description))
    }

    /// A member that is there, and neither null nor undefined.
    fn member(&mut self, object: &Object<'js>, name: &str) -> Option<Value<'js>> {
        let value: rquickjs::Result<Value<'js>> = object.get(name);
        match value.catch(self.ctx) {
            Ok(value) => Some(value).filter(|value| !value.is_null() && !value.is_undefined()),
            Err(error) => {
                self.complain_of(&format!("/{name}"), &error);
                None
            }
        }
    }

    fn function(&mut self, object: &Object<'js>, name: &str) -> Option<Kept<Function<'static>>> {
        let value = self.member(object, name)?;
        let Some(function) = value.into_function() else {
            self.complain(&format!("/{name}"), "expected a function");
            return None;
        };
        Some(Persistent::save(self.ctx, function))
    }

    fn initial(&mut self, object: &Object<'js>, name: &str) -> Initial {
        let Some(value) = self.member(object, name) else { return Initial::Text("{}".to_owned()) };
        if let Some(function) = value.as_function() {
            return Initial::Function(Persistent::save(self.ctx, function.clone()));
        }
        match self.ctx.json_stringify(value).catch(self.ctx) {
            Ok(text) => {
                let text = text.and_then(|text| text.to_string().ok());
                Initial::Text(text.unwrap_or_else(|| "{}".to_owned()))
            }
            Err(error) => {
                self.complain_of(&format!("/{name}"), &error);
                Initial::Text("{}".to_owned())
            }
        }
    }

    /// What is neither a function nor what entries begin with.
    fn plain(&mut self, definition: &Object<'js>) -> String {
        let mut plain = String::from("{");
        for name in ["source", "missing_handler", "on_error", "activate", "limits", "language"] {
            let Some(value) = self.member(definition, name) else { continue };
            match self.ctx.json_stringify(value).catch(self.ctx) {
                Ok(Some(text)) => {
                    let text = text.to_string().unwrap_or_default();
                    let comma = if plain.len() > 1 { "," } else { "" };
                    plain.push_str(&format!("{comma}\"{name}\":{text}"));
                }
                Ok(None) => self.complain(&format!("/{name}"), "expected JSON"),
                Err(error) => self.complain_of(&format!("/{name}"), &error),
            }
        }
        plain.push('}');
        plain
    }
}

/// A name in a JSON Pointer (RFC 6901, section 3).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
