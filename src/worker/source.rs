//! Where in the code something is.

use super::frames::Position;

/// Bytes of a line that are shown.
const EXCERPT_BYTES: usize = 160;

/// The first place in a stack that is in a file, and the line that is there. In the file the code has some lines before
/// it.
pub(super) fn position(stack: &str, file: &str, code: &str, before: u32) -> Option<Position> {
    let at = format!("{file}:");
    let after = stack.split_once(&at)?.1;
    let mut numbers = after.split(|c: char| !c.is_ascii_digit());
    let (line, column): (u32, _) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    let line = line.checked_sub(before)?;
    let text = code.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?)?.trim_end();
    let excerpt = text[..text.floor_char_boundary(EXCERPT_BYTES)].to_owned();
    Some(Position { line, column, excerpt })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_leads_to_a_line() {
        let code = "one\ntwo(2);  \nthree";
        let found = position(
            "    at e (projector.js:2:4)\n    at projector.js:1:1\n",
            "projector.js",
            code,
            0,
        );
        let expected = Position { line: 2, column: 4, excerpt: "two(2);".to_owned() };
        assert_eq!(found, Some(expected));
        let after = position("at projector.js:3:4", "projector.js", code, 1);
        assert_eq!(after, Some(Position { line: 2, column: 4, excerpt: "two(2);".to_owned() }));
        assert_eq!(position("at projector.js:1:4", "projector.js", code, 1), None);
        assert_eq!(position("at e (native)", "projector.js", code, 0), None);
        assert_eq!(position("at projector.js:9:1", "projector.js", code, 0), None);
    }
}
