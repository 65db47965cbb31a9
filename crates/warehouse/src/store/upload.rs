//! A file that is put in parts.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use async_trait::async_trait;
use deltalake::logstore::object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use parking_lot::Mutex;

use super::{Staged, blocking, failed};

#[derive(Debug)]
pub(super) struct Upload {
    /// `None` once it is complete or given up.
    staged: Arc<Mutex<Option<Staged>>>,
    /// Where the next part goes.
    at: u64,
}

impl Upload {
    pub(super) fn new(staged: Staged) -> Self {
        Self { staged: Arc::new(Mutex::new(Some(staged))), at: 0 }
    }
}

fn gone() -> std::io::Error {
    std::io::Error::other("the upload was given up or is complete")
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let mut at = self.at;
        self.at += data.content_length() as u64;
        let staged = Arc::clone(&self.staged);
        Box::pin(blocking(move || {
            let staged = staged.lock();
            let file = &staged.as_ref().ok_or_else(|| failed(gone()))?.file;
            for bytes in &data {
                file.write_all_at(bytes, at).map_err(failed)?;
                at += bytes.len() as u64;
            }
            Ok(())
        }))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let staged = self.staged.lock().take().ok_or_else(|| failed(gone()))?;
        blocking(move || staged.publish(false)).await
    }

    async fn abort(&mut self) -> Result<()> {
        let staged = self.staged.lock().take();
        blocking(move || {
            drop(staged);
            Ok(())
        })
        .await
    }
}
