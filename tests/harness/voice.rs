//! The agent platform's web server, from which recordings are fetched: it answers as the test says, and keeps count.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How a path is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The body, and whether its length is told beforehand.
    Sound(Vec<u8>, bool),
    /// Half of the body, and then nothing, until the one who asked is gone.
    Half(Vec<u8>),
    /// To another URL.
    Moved(String),
}

#[derive(Debug, Default)]
struct Shelves {
    answers: HashMap<String, Answer>,
    asked: HashMap<String, usize>,
}

/// A server on a port of its own; what it does not know is not found.
pub struct Voice {
    port: u16,
    shelves: Arc<Mutex<Shelves>>,
}

impl Voice {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shelves = Arc::<Mutex<Shelves>>::default();
        let served = shelves.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shelves = served.clone();
                // Whoever hangs up in the middle is free to do so.
                tokio::spawn(async move { drop(serve(stream, &shelves).await) });
            }
        });
        Self { port, shelves }
    }

    /// As the settings name it.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}?token=secret", self.host())
    }

    pub fn answer(&self, path: &str, answer: Answer) {
        self.shelves.lock().unwrap().answers.insert(path.to_owned(), answer);
    }

    pub fn sound(&self, path: &str, body: &[u8]) {
        self.answer(path, Answer::Sound(body.to_vec(), true));
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.shelves.lock().unwrap().asked.get(path).copied().unwrap_or_default()
    }
}

async fn serve(stream: TcpStream, shelves: &Mutex<Shelves>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next_line().await?.unwrap_or_default();
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
    let path = request.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
    let answer = {
        let mut shelves = shelves.lock().unwrap();
        *shelves.asked.entry(path.clone()).or_default() += 1;
        shelves.answers.get(&path).cloned()
    };
    let mut stream = lines.into_inner().into_inner();
    let head = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\nConnection: close\r\n{more}\r\n");
    let kind = "Content-Type: audio/mpeg\r\n";
    match answer {
        None => stream.write_all(head("404 Not Found", "Content-Length: 0\r\n").as_bytes()).await,
        Some(Answer::Moved(url)) => {
            let more = format!("Location: {url}\r\nContent-Length: 0\r\n");
            stream.write_all(head("302 Found", &more).as_bytes()).await
        }
        Some(Answer::Sound(body, is_told)) => {
            let length = if is_told { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
            stream.write_all(head("200 OK", &format!("{kind}{length}")).as_bytes()).await?;
            stream.write_all(&body).await
        }
        Some(Answer::Half(body)) => {
            let length = format!("{kind}Content-Length: {}\r\n", body.len());
            stream.write_all(head("200 OK", &length).as_bytes()).await?;
            stream.write_all(&body[..body.len() / 2]).await?;
            // Ends when the other side has gone.
            BufReader::new(stream).lines().next_line().await.map(drop)
        }
    }
}
