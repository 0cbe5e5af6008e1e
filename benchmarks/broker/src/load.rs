//! HTTP requests, one after the other on each of some connections.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::arguments::Arguments;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/// Sends them for the given time, prints how many were answered and how long that took.
pub fn load(arguments: &Arguments) -> io::Result<()> {
    let started = Instant::now();
    let end = started + Duration::from_secs_f64(arguments.seconds);
    let port = arguments.port;
    let threads: Vec<_> =
        (0..arguments.connections).map(|_| thread::spawn(move || requests(port, end))).collect();
    let mut count = 0;
    for thread in threads {
        count += thread.join().map_err(|_| io::Error::other("a connection failed"))??;
    }
    println!("{{\"requests\": {count}, \"seconds\": {}}}", started.elapsed().as_secs_f64());
    Ok(())
}

fn requests(port: u16, end: Instant) -> io::Result<u64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let mut response = Vec::new();
    let mut count = 0;
    while Instant::now() < end {
        stream.write_all(REQUEST)?;
        read_response(&mut stream, &mut response)?;
        count += 1;
    }
    Ok(count)
}

/// Reads a response of status 200 that says its length.
fn read_response(stream: &mut TcpStream, response: &mut Vec<u8>) -> io::Result<()> {
    response.clear();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        response.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(response);
        let Some(head) = text.find("\r\n\r\n") else { continue };
        if !text.starts_with("HTTP/1.1 200") {
            return Err(io::Error::other(text.lines().next().unwrap_or_default().to_owned()));
        }
        let length = text[..head].lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let length: usize =
            length.ok_or_else(|| io::Error::other("a response without a length"))?;
        if response.len() >= head + 4 + length {
            return Ok(());
        }
    }
}
