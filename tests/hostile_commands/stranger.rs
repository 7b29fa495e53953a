//! A publisher that says what no library would: any bytes as a property, a routing key or a table of headers.
//!
//! AMQP 0-9-1 as far as one publish with a confirm needs it, over plain TCP.

use std::io::{Read, Write};
use std::net::TcpStream;

use lapin::uri::AMQPUri;

use crate::harness::patience::SOON;
use crate::harness::servers::Place;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;

/// Properties by the bit of their flag.
pub const CONTENT_TYPE: u8 = 15;
pub const CONTENT_ENCODING: u8 = 14;
pub const HEADERS: u8 = 13;
pub const PRIORITY: u8 = 11;
pub const CORRELATION_ID: u8 = 10;
pub const REPLY_TO: u8 = 9;
pub const EXPIRATION: u8 = 8;
pub const MESSAGE_ID: u8 = 7;
pub const TYPE: u8 = 5;
pub const APP_ID: u8 = 3;

/// What is published.
#[derive(Debug, Clone)]
pub struct Message {
    routing_key: Vec<u8>,
    /// With their bytes as they go over the wire.
    properties: Vec<(u8, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Message {
    pub fn new(routing_key: impl AsRef<[u8]>, body: impl Into<Vec<u8>>) -> Self {
        Self { routing_key: routing_key.as_ref().to_vec(), properties: Vec::new(), body: body.into() }
    }

    pub fn to(self, routing_key: impl AsRef<[u8]>) -> Self {
        Self { routing_key: routing_key.as_ref().to_vec(), ..self }
    }

    /// A property that is a short string; one that is there already is replaced.
    pub fn with(self, property: u8, text: impl AsRef<[u8]>) -> Self {
        self.with_raw(property, short(text.as_ref()))
    }

    pub fn with_raw(mut self, property: u8, bytes: Vec<u8>) -> Self {
        self.properties.retain(|(other, _)| *other != property);
        self.properties.push((property, bytes));
        self.properties.sort_by_key(|(property, _)| std::cmp::Reverse(*property));
        self
    }

    pub fn without(mut self, property: u8) -> Self {
        self.properties.retain(|(other, _)| *other != property);
        self
    }

    fn header(&self) -> Vec<u8> {
        let flags = self.properties.iter().fold(0_u16, |flags, (property, _)| flags | 1 << property);
        let values: Vec<u8> = self.properties.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        [&60_u16.to_be_bytes()[..], &[0, 0], &(self.body.len() as u64).to_be_bytes(), &flags.to_be_bytes(), &values]
            .concat()
    }
}

/// A table of AMQP: its length, and entries that the caller has encoded.
pub fn table(entries: &[u8]) -> Vec<u8> {
    [&u32::try_from(entries.len()).unwrap().to_be_bytes(), entries].concat()
}

pub fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text].concat()
}

/// A connection with one channel, on which each publish is confirmed.
pub struct Stranger {
    stream: TcpStream,
    commands: String,
    most_of_a_frame: usize,
}

impl Stranger {
    pub fn connect(place: &Place) -> Self {
        let uri: AMQPUri = place.amqp_url.parse().unwrap();
        let stream = TcpStream::connect((uri.authority.host.as_str(), uri.authority.port)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut this = Self { stream, commands: place.name("commands"), most_of_a_frame: 4_096 };
        this.stream.write_all(b"AMQP\0\0\x09\x01").unwrap();
        this.expect(0, [10, 10]);
        let userinfo = uri.authority.userinfo;
        let response = format!("\0{}\0{}", userinfo.username, userinfo.password);
        let start_ok = [table(b""), short(b"PLAIN"), table(response.as_bytes()), short(b"en_US")].concat();
        this.method(0, [10, 11], &start_ok);
        let tune = this.expect(0, [10, 30]);
        this.most_of_a_frame = usize::try_from(u32::from_be_bytes(tune[2..6].try_into().unwrap())).unwrap();
        this.method(0, [10, 31], &[&tune[..6], &[0, 0]].concat());
        this.method(0, [10, 40], &[short(uri.vhost.as_bytes()), short(b""), vec![0]].concat());
        this.expect(0, [10, 41]);
        this.method(1, [20, 10], &short(b""));
        this.expect(1, [20, 11]);
        this.method(1, [85, 10], &[0]);
        this.expect(1, [85, 11]);
        this
    }

    /// Publishes a command; returns when the broker has it.
    pub fn publish(&mut self, message: &Message) {
        let exchange = self.commands.clone();
        let address = [vec![0, 0], short(exchange.as_bytes()), short(&message.routing_key), vec![0]].concat();
        self.method(1, [60, 40], &address);
        self.frame(HEADER, 1, &message.header());
        for part in message.body.chunks(self.most_of_a_frame - 8) {
            self.frame(BODY, 1, part);
        }
        self.expect(1, [60, 80]);
    }

    fn method(&mut self, channel: u8, [class, method]: [u8; 2], arguments: &[u8]) {
        self.frame(METHOD, channel, &[&[0, class, 0, method], arguments].concat());
    }

    fn frame(&mut self, kind: u8, channel: u8, payload: &[u8]) {
        let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.stream.write_all(&[&[kind, 0, channel], &size[..], payload, &[0xce]].concat()).unwrap();
    }

    /// The arguments of the next method, which must be this one.
    fn expect(&mut self, channel: u8, [class, method]: [u8; 2]) -> Vec<u8> {
        loop {
            let mut head = [0; 7];
            self.stream.read_exact(&mut head).unwrap();
            let size = u32::from_be_bytes(head[3..].try_into().unwrap());
            let mut payload = vec![0; usize::try_from(size).unwrap() + 1];
            self.stream.read_exact(&mut payload).unwrap();
            // A heartbeat says nothing.
            if head[0] == METHOD {
                let told = String::from_utf8_lossy(&payload);
                assert_eq!((head[2], &payload[..4]), (channel, &[0, class, 0, method][..]), "the broker says {told:?}");
                return payload[4..payload.len() - 1].to_vec();
            }
        }
    }
}
