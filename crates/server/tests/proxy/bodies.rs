use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::raw::{GET, OK, Served, header, recorder, upstream};

const MANY: usize = 200 * 1024 * 1024;

/// Resident memory now, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test]
async fn a_large_download_is_streamed_not_gathered() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {MANY}\r\n\r\n")).await;
        let piece = vec![7; 1024 * 1024];
        for _ in 0..MANY / piece.len() {
            client.stream.write_all(&piece).await.unwrap();
        }
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send(GET).await;
    // The client does not read yet: the upstream must come to a halt, not the memory fill.
    let before = resident();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut got = 0;
    let mut piece = vec![0; 256 * 1024];
    let mut most = resident();
    let head_length = client.head().await.len();
    assert!(head_length > 0);
    got += client.rest_length();
    while got < MANY {
        let count = client.stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "it ended after {got}");
        assert!(piece[..count].iter().all(|byte| *byte == 7));
        got += count;
        most = most.max(resident());
    }
    assert_eq!(got, MANY);
    assert!(most.saturating_sub(before) < 48 * 1024 * 1024, "{} more bytes were resident", most - before);
}

#[tokio::test]
async fn a_large_upload_is_streamed_not_gathered() {
    for chunked in [false, true] {
        let site = upstream(|_, mut client| async move {
            let head = client.head().await;
            let is_chunked = header(&head, "transfer-encoding").is_some();
            // It reads late: the client must come to a halt.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let mut got = client.rest_length();
            let mut piece = vec![0; 256 * 1024];
            let mut tail = Vec::new();
            loop {
                let count = client.stream.read(&mut piece).await.unwrap();
                got += count;
                tail.extend_from_slice(&piece[..count]);
                tail.drain(..tail.len().saturating_sub(5));
                if count == 0 || (!is_chunked && got >= MANY) || (is_chunked && tail == b"0\r\n\r\n") {
                    break;
                }
            }
            let answer = format!("{is_chunked} {}", got >= MANY);
            client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len())).await;
            client.rest().await;
        })
        .await;
        let served = Served::before(site);
        let mut client = served.connect().await;
        let before = resident();
        let framing = if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {MANY}") };
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n")).await;
        let piece = vec![7; 1024 * 1024];
        let mut most = 0;
        for _ in 0..MANY / piece.len() {
            if chunked {
                client.send(format!("{:x}\r\n", piece.len())).await;
            }
            client.send(&piece).await;
            if chunked {
                client.send("\r\n").await;
            }
            most = most.max(resident());
        }
        if chunked {
            client.send("0\r\n\r\n").await;
        }
        let answer = client.message(false).await;
        assert!(answer.ends_with(&format!("{chunked} true")), "{answer}");
        assert!(most.saturating_sub(before) < 48 * 1024 * 1024, "{} more bytes were resident", most - before);
    }
}

#[tokio::test]
async fn server_sent_events_arrive_one_by_one() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        client.send("9\r\ndata: 1\n\n\r\n").await;
        // The second comes only when the client has got the first: it asks for it on another connection.
        std::future::pending::<()>().await;
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send(GET).await;
    assert_eq!(header(&client.head().await, "content-type").as_deref(), Some("text/event-stream"));
    assert!(client.until("data: 1\n\n").await.ends_with("data: 1\n\n"));
}

#[tokio::test]
async fn a_client_that_leaves_closes_the_upstream_connection() {
    let (closed, mut when) = tokio::sync::mpsc::unbounded_channel();
    let site = upstream(move |_, mut client| {
        let closed = closed.clone();
        async move {
            client.head().await;
            client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
            client.rest().await;
            let _ = closed.send(());
        }
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send(GET).await;
    client.until("a\r\n").await;
    drop(client);
    tokio::time::timeout(crate::raw::PATIENCE, when.recv()).await.expect("it stayed open");
}

#[tokio::test]
async fn trailers_pass_both_ways_without_ours() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Visitlog-Action\r\n\r\n\
        2\r\nhi\r\n0\r\nX-Sum: 9\r\nVisitlog-Action: \"x\"\r\n\r\n";
    let site = upstream(move |_, mut client| async move {
        let mut request = client.until("\r\n\r\n").await;
        request += &client.until("0\r\n").await;
        request += &client.until("\r\n\r\n").await;
        let request = request.to_ascii_lowercase();
        assert!(request.contains("x-up: 7\r\n"), "{request}");
        let trailers = request.split("0\r\n").last().unwrap();
        assert!(!trailers.contains("visitlog") && !trailers.contains("content-length"), "{request}");
        client.send(answer).await;
        client.rest().await;
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client
        .send(
            "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\n\
             Trailer: X-Up, visitlog_user, Content-Length\r\n\r\n2\r\nho\r\n0\r\nX-Up: 7\r\nvisitlog_user: eve\r\n\
             Content-Length: 3\r\n\r\n",
        )
        .await;
    let got = client.until("\r\n\r\n").await + &client.until("\r\n0\r\n").await + &client.until("\r\n\r\n").await;
    let got = got.to_ascii_lowercase();
    assert!(got.starts_with("http/1.1 200 ok"), "{got}");
    let trailers = got.split("\r\n0\r\n").last().unwrap();
    assert!(trailers.contains("x-sum: 9\r\n"), "{got}");
    assert!(!trailers.contains("visitlog"), "{got}");
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_off_for_the_client() {
    for framing in ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let site = upstream(move |_, mut client| async move {
            client.head().await;
            client.send(format!("HTTP/1.1 200 OK\r\n{framing}")).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        })
        .await;
        let served = Served::before(site);
        let mut client = served.connect().await;
        client.send(GET).await;
        let all = client.rest().await;
        assert!(all.contains("half"), "{all:?}");
        assert!(!all.ends_with("0\r\n\r\n"), "a broken body was closed as if whole: {all}");
    }
}

#[tokio::test]
async fn a_body_until_the_end_of_the_connection_is_framed_for_the_client() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client.send("HTTP/1.0 200 OK\r\n\r\nto the end").await;
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    for _ in 0..2 {
        client.send(GET).await;
        let answer = client.message(false).await;
        assert!(answer.contains("to the end") && answer.ends_with("0\r\n\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn the_upstream_decides_about_100_continue() {
    let site = upstream(|_, mut client| async move {
        let head = client.head().await;
        assert_eq!(header(&head, "expect").as_deref(), Some("100-continue"));
        // Nothing of the body may come before the word.
        let early = tokio::time::timeout(Duration::from_millis(200), client.stream.readable()).await;
        assert!(early.is_err(), "the body came unasked");
        client.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        assert_eq!(client.until("body").await, "body");
        client.send(OK).await;
        client.rest().await;
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").await;
    assert!(client.head().await.starts_with("http/1.1 100 "));
    client.send("body").await;
    assert!(client.message(false).await.ends_with("hello"));
}

#[tokio::test]
async fn a_refusal_in_place_of_100_continue_reaches_the_client_without_its_body() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig").await;
        assert_eq!(client.rest().await, "");
    })
    .await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").await;
    let answer = client.message(false).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("big"), "{answer}");
}

#[tokio::test]
async fn an_upstream_that_never_says_continue_gets_the_body_all_the_same() {
    let (site, seen) = recorder(OK).await;
    let served = Served::before(site);
    let mut client = served.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").await;
    assert!(client.head().await.starts_with("http/1.1 100 "));
    client.send("body").await;
    assert!(client.message(false).await.ends_with("hello"));
    assert!(seen.last().ends_with("\r\n\r\nbody"));
}

#[tokio::test]
async fn a_get_with_a_chunked_body_keeps_it() {
    let (site, seen) = recorder(OK).await;
    let answer = Served::before(site)
        .ask("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .await;
    assert!(answer.ends_with("hello"), "{answer}");
    assert!(seen.last().contains("transfer-encoding: chunked"), "{}", seen.last());
    assert!(seen.last().contains("abc"), "{}", seen.last());
}

#[tokio::test]
async fn early_hints_are_swallowed_and_the_answer_comes() {
    let site = upstream(|_, mut client| async move {
        client.head().await;
        client.send("HTTP/1.1 103 Early Hints\r\nVisitlog-Action: \"x\"\r\nLink: </a>\r\n\r\n").await;
        client.send(OK).await;
        client.rest().await;
    })
    .await;
    let answer = Served::before(site).ask(GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("visitlog"), "{answer}");
}
