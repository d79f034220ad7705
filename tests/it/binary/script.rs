//! A server that answers by a script, one request a connection, and then is gone.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    thread::JoinHandle,
};

/// What a client asks first: the log, which is empty.
pub(super) const LOG: &str = "HTTP/1.1 200 OK\r\ncontent-length: 36\r\nconnection: close\r\n\r\n\
                              {\"lanes\":1,\"last_sequence_number\":0}";

pub(super) struct Script {
    pub(super) address: SocketAddr,
    thread: JoinHandle<Vec<String>>,
}

impl Script {
    /// Listens for as many requests as there are answers; an empty one is a closed connection.
    pub(super) fn start(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let address = listener.local_addr().expect("the port is known");
        let thread = std::thread::spawn(move || {
            let mut listener = Some(listener);
            let mut heard = Vec::new();
            for (index, answer) in answers.iter().enumerate() {
                let accepting = listener.as_ref().expect("it listens until its last answer");
                let (stream, _) = accepting.accept().expect("a client comes");
                if index + 1 == answers.len() {
                    listener = None;
                }
                let mut reader = BufReader::new(stream);
                heard.push(request(&mut reader));
                reader.get_mut().write_all(answer.as_bytes()).expect("it is answered");
            }
            heard
        });
        Self { address, thread }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first lines of the requests, once all were answered.
    pub(super) fn heard(self) -> Vec<String> {
        self.thread.join().expect("the script was played to its end")
    }
}

/// Reads a request with its body.
fn request(reader: &mut impl BufRead) -> String {
    let mut first = String::new();
    reader.read_line(&mut first).expect("a request is text");
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header is text");
        match line.trim_end().to_lowercase().split_once(": ") {
            Some(("content-length", digits)) => length = digits.parse().expect("a number"),
            Some(_) => {}
            None => break,
        }
    }
    reader.read_exact(&mut vec![0; length]).expect("the body is there");
    first.trim_end().to_owned()
}
