//! What a server and its workers say to each other: frames, each a length and a value.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

/// The longest frame. A batch is bounded far below it.
pub const FRAME_BYTES_MAX: usize = 256 << 20;

/// What user code may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Allowance {
    /// CPU time of loading a definition, in microseconds.
    pub load_micros: u64,
    /// CPU time of one call.
    pub call_micros: u64,
    /// CPU time after which a batch is answered as far as it came.
    pub batch_micros: u64,
    pub heap_bytes: usize,
    pub stack_bytes: usize,
    pub state_bytes: usize,
    pub metadata_bytes: usize,
    /// Ids of one event.
    pub ids: usize,
    /// Lines, and bytes, of `console.log` that are kept.
    pub console_lines: usize,
    pub console_bytes: usize,
}

/// What a worker says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// What it could not lock itself out of.
    pub unlocked: Option<String>,
}

/// What is asked of a worker.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request<'a> {
    /// Which definition: those with one key are the same.
    pub key: &'a str,
    /// Whether it is a module; else an object with functions as strings.
    pub is_module: bool,
    pub definition: &'a str,
    pub allowance: Allowance,
    #[serde(borrow)]
    pub work: Work<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Work<'a> {
    /// Loads the definition and tells what it says.
    Describe,
    /// Tells the ids of events.
    Locate {
        #[serde(borrow)]
        events: Vec<Given<'a>>,
    },
    /// Applies events, in order.
    Apply {
        #[serde(borrow)]
        entries: Vec<Entry<'a>>,
        #[serde(borrow)]
        events: Vec<Given<'a>>,
        /// Whether it is told what each event led to.
        traced: bool,
    },
}

/// An event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Given<'a> {
    pub name: &'a str,
    /// As it is answered by the API.
    pub json: &'a str,
    /// The entries that it is applied to.
    pub entries: Vec<u32>,
}

/// An entry, as it is before the events.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// Nothing if it is not there.
    pub state: Option<&'a str>,
    pub metadata: Option<&'a str>,
}

/// What a worker answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    Described(Description),
    /// The definition is none.
    Refused(Vec<Complaint>),
    Located(Located),
    Applied(Applied),
}

/// What a definition says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Description {
    /// Its members that are no functions, as a JSON object; without the initial state and metadata.
    pub plain: String,
    /// The names of events that have a handler.
    pub handlers: Vec<String>,
    /// Whether others have one: `*`.
    pub any: bool,
    /// Whether it has a function that gives ids.
    pub has_id: bool,
}

/// What is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// A JSON Pointer into the definition; empty if it is not known, or of the whole.
    pub pointer: String,
    pub message: String,
    pub place: Option<Position>,
}

/// A place in the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub line: u32,
    pub column: u32,
    /// The line's text.
    pub excerpt: String,
}

/// Why work ended early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Of those given, which event it was; nothing if it is not known.
    pub event: Option<u32>,
    /// And which of the entries.
    pub entry: Option<u32>,
    pub message: String,
    pub stack: String,
    pub place: Option<Position>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Located {
    /// The ids of each event, as far as it came.
    pub ids: Vec<Vec<String>>,
    pub fault: Option<Fault>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Applied {
    /// So many events were applied. If fewer than were given, and there is no fault, the time was over.
    pub events: u32,
    /// Each entry that an event was applied to. Nothing if there is a fault.
    pub entries: Vec<(u32, Option<Saved>)>,
    pub trace: Vec<Traced>,
    pub console: Vec<String>,
    pub fault: Option<Fault>,
}

/// An entry as events left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    pub state: String,
    pub metadata: String,
}

/// What one event led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    pub event: u32,
    pub entry: u32,
    /// Nothing if it was deleted.
    pub saved: Option<Saved>,
    /// CPU time.
    pub micros: u64,
    /// Lines of the console, up to here.
    pub console: u32,
}

/// Reads a frame; nothing at the end.
pub fn read(input: &mut impl Read, frame: &mut Vec<u8>) -> io::Result<bool> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::other("a frame is too long"));
    }
    frame.resize(length, 0);
    input.read_exact(frame)?;
    Ok(true)
}

/// Writes a frame.
pub fn write(output: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    output.write_all(&framed(value)?)?;
    output.flush()
}

/// A value as a frame.
pub fn framed(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = postcard::to_extend(value, vec![0; 4]).map_err(io::Error::other)?;
    let length = u32::try_from(frame.len() - 4).map_err(io::Error::other)?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// The value of a frame.
pub fn value<'a, T: Deserialize<'a>>(frame: &'a [u8]) -> io::Result<T> {
    postcard::from_bytes(frame).map_err(io::Error::other)
}
