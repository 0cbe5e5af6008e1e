//! The other side of the benchmarks: a costless broker, a publisher, and a sender of HTTP requests.
//!
//! * `serve` is a broker without routing: it answers what MQTT wants answered, and sends messages
//!   to whoever subscribes, or what was published back to its publisher.
//! * `feed` publishes to a broker.
//! * `load` sends HTTP requests, and prints how many were answered.
//!
//! It listens and connects on the loopback only, and ends when its standard input does.

mod arguments;
mod connection;
mod load;
mod packets;
mod sender;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use arguments::{Arguments, Role};
use connection::Connection;

/// The most bytes to wait for at once.
const READ: usize = 1 << 20;

fn main() -> io::Result<()> {
    let arguments = match Arguments::from_command_line() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(2);
        }
    };
    end_with_standard_input();
    match arguments.role {
        Role::Serve => serve(&arguments),
        Role::Feed => feed(&arguments),
        Role::Load => load::load(&arguments),
    }
}

/// Ends the process when whoever started it has ended, or closed the pipe.
fn end_with_standard_input() {
    thread::spawn(|| {
        let mut buffer = [0; 64];
        while io::stdin().read(&mut buffer).is_ok_and(|count| count > 0) {}
        std::process::exit(0);
    });
}

/// Accepts clients, prints its port first.
fn serve(arguments: &Arguments) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    io::stdout().flush()?;
    for stream in listener.incoming() {
        let connection = Connection::new(stream?, arguments)?;
        thread::spawn(move || connection.run());
    }
    Ok(())
}

/// Publishes to a broker, prints a line when it begins.
fn feed(arguments: &Arguments) -> io::Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", arguments.port))?;
    let connection = Connection::new(stream, arguments)?;
    connection.send(&packets::connect())?;
    println!("{}", arguments.port);
    io::stdout().flush()?;
    connection.run();
    Ok(())
}
