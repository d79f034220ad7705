//! Server-sent events, as far as a bench must understand them.

use super::body;

/// A frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// An event, with the number in its payload.
    Event(Option<u64>),
    /// The tail is live.
    CaughtUp,
    /// The server ends the tail.
    End,
    /// Something that only has to arrive.
    Other,
}

/// A stream of frames, cut into pieces anywhere.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// A line whose end has not come.
    partial: Vec<u8>,
    /// The frame so far: its name, and the number in its data.
    name: Option<Frame>,
    data: Option<Option<u64>>,
}

impl Frames {
    /// Takes a piece and tells the frames that it ends.
    pub(super) fn take(&mut self, mut piece: &[u8], mut tell: impl FnMut(Frame)) {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = piece.split_at(end);
            let frame = if self.partial.is_empty() {
                self.line(line)
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.line(&whole)
            };
            if let Some(frame) = frame {
                tell(frame);
            }
            piece = rest.get(1..).unwrap_or_default();
        }
        self.partial.extend_from_slice(piece);
    }

    fn line(&mut self, line: &[u8]) -> Option<Frame> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            let data = self.data.take();
            return self.name.take().or_else(|| data.map(Frame::Event));
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            self.data = Some(body::number(data));
        } else if let Some(name) = line.strip_prefix(b"event:") {
            self.name = Some(match name.trim_ascii() {
                b"caught-up" => Frame::CaughtUp,
                b"bye" | b"error" => Frame::End,
                _ => Frame::Other,
            });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "retry: 1000\n\nevent: start\ndata: {\"after\":null}\n\nevent: caught-up\n\
        id: 7\ndata: {}\n\nid: 8\ndata: {\"id\":\"x\",\"payload\":{\"bench_n\":12,\"text\":\"\"}}\n\n\
        : comment\n\nid: 9\ndata: {\"payload\":null}\n\nevent: ping\nid: 9\ndata: {}\n\n\
        event: bye\ndata: {}\n\n";

    #[test]
    fn frames_are_found_wherever_the_text_is_cut() {
        for size in [1, 2, 7, 1_000] {
            let (mut frames, mut told) = (Frames::default(), Vec::new());
            for piece in TEXT.as_bytes().chunks(size) {
                frames.take(piece, |frame| told.push(frame));
            }
            let event = Frame::Event(Some(12));
            let rest = [Frame::Event(None), Frame::Other, Frame::End];
            let wanted: Vec<_> =
                [Frame::Other, Frame::CaughtUp, event].into_iter().chain(rest).collect();
            assert_eq!(told, wanted, "in pieces of {size}");
        }
    }
}
