//! A listener of Rust's standard library, as a program makes it that sets nothing: KIND ADDRESS.
use std::io::Read;
use std::net::{TcpListener, UdpSocket};

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments[1] == "udp" {
        UdpSocket::bind(&arguments[2])?.recv(&mut [0])?;
    } else if arguments[1] == "http" {
        for connection in TcpListener::bind(&arguments[2])?.incoming() {
            connection?.read(&mut [0; 4096])?;
        }
    } else {
        TcpListener::bind(&arguments[2])?.accept()?;
    }
    Ok(())
}
