//! One run: a recording from its source into a file without a name, and that file into its place.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncSeekExt;
use tokio_util::sync::CancellationToken;

use super::{Context, Sources};
use crate::domain::recording::{RecordingFile, Source, extension_of};
use crate::objects::ShelfError;
use crate::objects::source::{Copy, Fetched, SourceError, read_file};
use crate::store::StoreError;
use crate::store::recordings::RecordingRun;
use crate::telemetry::metrics::RECORDINGS;

/// How often the lease is renewed; it holds for 10 s.
const RENEW: Duration = Duration::from_secs(3);
/// Runs that may fail or die before the recording is given up.
const MOST_TRIES: i32 = 8;
/// Before the second try; three times as long before each further one, so all of them take 40 minutes.
const PAUSE: Duration = Duration::from_secs(2);
/// When the fault is ours.
const OUR_PAUSE: Duration = Duration::from_secs(30);

/// Why a run ended without a recording.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    /// The daemon drains, another run has taken over, or nobody wants the recording any more.
    #[error("stopped")]
    Stopped,
    #[error("the daemon died {MOST_TRIES} times while it was fetched")]
    Deadly,
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FetchError {
    fn is_ours(&self) -> bool {
        matches!(self, Self::Shelf(_) | Self::Source(SourceError::Copy(_)))
    }

    /// Whether somebody has to be woken for it: not by whoever names a URL that leads nowhere.
    fn is_alarming(&self) -> bool {
        match self {
            Self::Stopped => false,
            Self::Source(error) => error.is_operators(),
            Self::Deadly | Self::Shelf(_) | Self::Store(_) => true,
        }
    }

    fn is_final(&self, tries: i32) -> bool {
        match self {
            Self::Stopped | Self::Shelf(_) => false,
            Self::Deadly => true,
            Self::Source(error) => error.is_final() || tries >= MOST_TRIES,
            Self::Store(_) => tries >= MOST_TRIES,
        }
    }
}

/// Fetches one recording, and writes down how that went; false when there was no place to keep it.
pub(super) async fn serve(context: Arc<Context>, run: RecordingRun) -> bool {
    let outcome = attempt(&context, &run).await;
    let is_ours = outcome.as_ref().is_err_and(FetchError::is_ours);
    let settled = match outcome {
        Ok(file) => finish(&context, &run, &file).await,
        Err(FetchError::Stopped) => context.store.release_recording(&run, Duration::ZERO).await,
        Err(error) if is_ours => {
            tracing::error!(call = %run.call, %error, "ALARM: a recording cannot be kept; trying again");
            context.store.release_recording(&run, OUR_PAUSE).await
        }
        Err(error) if error.is_final(run.tries) => fail(&context, &run, &error).await,
        Err(error) => {
            tracing::warn!(call = %run.call, tries = run.tries, %error, "a recording was not fetched; trying again");
            context.store.retry_recording(&run, pause_after(run.tries)).await
        }
    };
    if let Err(error) = settled {
        tracing::warn!(call = %run.call, %error, "a recording is left to the next run");
    }
    !is_ours
}

fn pause_after(tries: i32) -> Duration {
    PAUSE * 3_u32.saturating_pow(tries.clamp(1, MOST_TRIES).unsigned_abs() - 1)
}

/// Keeps the lease while the recording is fetched and put into its place.
async fn attempt(context: &Context, run: &RecordingRun) -> Result<RecordingFile, FetchError> {
    let Some(sources) = &context.sources else { return Err(FetchError::Stopped) };
    if run.tries > MOST_TRIES {
        return Err(FetchError::Deadly);
    }
    let stop = context.drain.child_token();
    let mut fetching = std::pin::pin!(fetch(context, sources, (run, &stop)));
    loop {
        tokio::select! {
            file = &mut fetching => return file,
            () = tokio::time::sleep(RENEW) => {}
        }
        match context.store.renew_recording(run).await {
            Ok(true) => {}
            Ok(false) => stop.cancel(),
            // It cannot be finished without the database either, and another run is fenced off by its epoch.
            Err(error) => tracing::warn!(call = %run.call, %error, "the lease of a recording was not renewed"),
        }
    }
}

/// What is read may be given up at any moment; what is being put is not, since it is whole and takes no long.
async fn fetch(
    context: &Context,
    sources: &Sources,
    (run, stop): (&RecordingRun, &CancellationToken),
) -> Result<RecordingFile, FetchError> {
    let workshop = context.shelf.workshop();
    let made = tokio::task::spawn_blocking(move || tempfile::tempfile_in(workshop)).await;
    let file = made.unwrap_or_else(|fell| Err(fell.into())).map_err(SourceError::Copy)?;
    let mut file = tokio::fs::File::from_std(file);
    let fetched = tokio::select! {
        () = stop.cancelled() => return Err(FetchError::Stopped),
        () = tokio::time::sleep(sources.timeout) => return Err(SourceError::TooSlow(sources.timeout).into()),
        fetched = read(sources, &run.source, &mut file) => fetched?,
    };
    file.rewind().await.map_err(SourceError::Copy)?;
    let name = format!("{}.{}", run.epoch, extension(&run.source, &fetched));
    let (location, content) = context.shelf.put(&run.group, &name, file.into_std().await).await?;
    Ok(RecordingFile { bytes: content.bytes, sha256: content.sha256, location })
}

async fn read(sources: &Sources, source: &Source, file: &mut tokio::fs::File) -> Result<Fetched, SourceError> {
    let mut copy = Copy::into(file, Some(sources.most_bytes));
    match source {
        Source::Url(url) => sources.web.read(url, &mut copy).await,
        Source::Path(path) => {
            let root = sources.root.as_deref().ok_or(SourceError::NoRoot)?;
            read_file(Path::new(path), Some(root), &mut copy).await
        }
    }
}

fn extension(source: &Source, fetched: &Fetched) -> String {
    let told = fetched.media_type.as_deref().and_then(extension_of).map(str::to_owned);
    source.extension().or(told).unwrap_or_else(|| "bin".to_owned())
}

async fn finish(context: &Context, run: &RecordingRun, file: &RecordingFile) -> Result<(), StoreError> {
    let cleared = if context.store.end_recording(run, Ok(file), context.clock.now()).await? {
        context.metrics.counter(&RECORDINGS, &["kept"]).increment(1);
        tracing::debug!(call = %run.call, bytes = file.bytes, location = file.location, "a recording is kept");
        match run.epoch {
            1 => Ok(()),
            _ => context.shelf.remove_others(&run.group, &file.location).await,
        }
    } else {
        // Another run was faster, this one's commit was not answered, or nobody wants it any more: only an object that
        // nobody tells of may go.
        match context.store.recording_location(run).await? {
            Some(told) if told == file.location => Ok(()),
            _ => context.shelf.remove(&file.location).await,
        }
    };
    if let Err(error) = cleared {
        tracing::warn!(call = %run.call, %error, "an object too many stays until its recording goes");
    }
    Ok(())
}

async fn fail(context: &Context, run: &RecordingRun, error: &FetchError) -> Result<(), StoreError> {
    let reason = error.to_string();
    if !context.store.end_recording(run, Err(&reason), context.clock.now()).await? {
        return Ok(());
    }
    context.metrics.counter(&RECORDINGS, &["failed"]).increment(1);
    match error.is_alarming() {
        true => tracing::error!(call = %run.call, reason, "ALARM: a recording could not be fetched"),
        false => tracing::warn!(call = %run.call, reason, "a recording could not be fetched"),
    }
    if run.epoch > 1
        && let Err(error) = context.shelf.remove_group(&run.group).await
    {
        tracing::warn!(call = %run.call, %error, "what an earlier run left stays until its recording goes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tries_together_outlast_an_outage_of_half_an_hour() {
        let pauses: Vec<u64> = (1..MOST_TRIES).map(|tries| pause_after(tries).as_secs()).collect();
        assert_eq!(pauses, [2, 6, 18, 54, 162, 486, 1_458]);
        assert!((1_800..2_400).contains(&pauses.iter().sum::<u64>()));
    }

    #[test]
    fn what_cannot_be_otherwise_is_given_up_at_once_and_what_is_our_fault_never() {
        assert!(FetchError::from(SourceError::Outside).is_final(1));
        assert!(!FetchError::from(SourceError::Status(404)).is_final(1));
        assert!(FetchError::from(SourceError::Status(404)).is_final(MOST_TRIES));
        let ours = FetchError::from(SourceError::Copy(std::io::ErrorKind::StorageFull.into()));
        assert!(ours.is_ours());
    }

    #[test]
    fn nobody_is_woken_for_what_a_sender_names() {
        let unreadable = |kind: std::io::ErrorKind| FetchError::from(SourceError::Unreadable(kind.into()));
        let senders = [
            SourceError::Url("a".to_owned()),
            SourceError::Host("h".to_owned()),
            SourceError::Outside,
            SourceError::NoFile,
            SourceError::Empty,
            SourceError::TooLarge(1),
            SourceError::Status(404),
            SourceError::TooSlow(PAUSE),
            SourceError::Changed,
        ];
        for error in senders.map(FetchError::from).into_iter().chain([unreadable(std::io::ErrorKind::NotFound)]) {
            assert!(!error.is_alarming(), "{error}");
        }
        let root = SourceError::Root(std::io::ErrorKind::NotFound.into());
        let denied = unreadable(std::io::ErrorKind::PermissionDenied);
        for error in [root.into(), SourceError::NoRoot.into(), denied, FetchError::Deadly] {
            assert!(error.is_alarming(), "{error}");
        }
    }
}
