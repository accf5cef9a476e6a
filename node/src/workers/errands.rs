//! The small exchanges with other members: records, catalogs, proofs; asking and answering.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use safelight_core::event::{Event, Question};
use safelight_proto::id::{Hash, NodeId, RecordId, VolumeId};
use safelight_proto::limit;
use safelight_proto::message::{JoinReply, Request, Response};

use crate::blobs::{Groups, check_proof};
use crate::net::{Channel, RequestError};
use crate::shell::Shell;

/// An answer is waited for so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// A proof must come so soon: fetching the shard from elsewhere first would take longer.
const PROOF_DEADLINE: Duration = Duration::from_secs(20);

/// Asks a member and tells the core what came of it.
pub async fn ask(shell: Arc<Shell>, to: NodeId, question: Question, request: Request) {
    let bytes = Bytes::from(request.encode());
    let answer = match shell.net.request(to, Channel::Member, bytes, PATIENCE).await {
        Ok(answer) => understood(&shell, to, &answer),
        Err(error) => {
            if matches!(error, RequestError::NotAccepted) {
                knock(&shell, to).await;
            }
            Err(error.to_string())
        }
    };
    shell.core.tell(Event::Answered { from: to, question, answer }).await;
}

/// Asks a member that does not talk to this node, through the door for strangers, whether it was removed.
async fn knock(shell: &Shell, to: NodeId) {
    let Ok(Some(request)) = shell.core.ask(|node| node.knock()).await else { return };
    let asked = shell.net.request(to, Channel::Join, Bytes::from(request.encode()), PATIENCE).await;
    match asked.ok().and_then(|answer| JoinReply::decode(&answer).ok()) {
        Some(JoinReply::Welcome { records, .. }) => shell.core.tell(Event::Told(records)).await,
        // It does not know this node yet, or cannot say: the next question is asked as ever.
        _ => tracing::debug!(%to, "a member takes this node for a stranger"),
    }
}

/// One question, one answer.
async fn exchange(
    shell: &Shell,
    to: NodeId,
    request: Request,
    patience: Duration,
) -> Result<Response, String> {
    let bytes = Bytes::from(request.encode());
    let answer =
        shell.net.request(to, Channel::Member, bytes, patience).await.map_err(|error| error.to_string())?;
    understood(shell, to, &answer)
}

fn understood(shell: &Shell, from: NodeId, answer: &[u8]) -> Result<Response, String> {
    Response::decode(answer).map_err(|error| {
        shell.net.disconnect(from, error.to_string());
        error.to_string()
    })
}

/// Sends a member the records it lacks, in messages of bounded size. What does not arrive is found missing again.
pub async fn push(shell: Arc<Shell>, to: NodeId, mut ids: Vec<RecordId>) {
    while !ids.is_empty() {
        let (store, asked) = (Arc::clone(&shell.store), ids.clone());
        let read = tokio::task::spawn_blocking(move || store.record_bytes(&asked, limit::ANSWER_BYTES)).await;
        let records = match read {
            Ok(Ok(records)) => records,
            Ok(Err(error)) => return tracing::error!("records could not be read: {error}"),
            Err(error) => return tracing::error!("reading records panicked: {error}"),
        };
        if records.is_empty() {
            return;
        }
        // A record that was superseded meanwhile is skipped by the store; at worst one is sent twice.
        ids.drain(..records.len().min(ids.len()));
        if exchange(&shell, to, Request::Push(records), PATIENCE).await.is_err() {
            return;
        }
    }
}

/// Asks a holder for a proof and tells the core whether it held.
pub async fn audit(
    shell: Arc<Shell>,
    of: NodeId,
    volume: VolumeId,
    (hash, bytes): (Hash, u64),
    groups: Vec<u64>,
    done: impl FnOnce(Result<bool, String>) -> Event,
) {
    let asked = Groups::from_indexes(groups.iter().copied());
    let outcome = match exchange(&shell, of, Request::Prove { volume, hash, groups }, PROOF_DEADLINE).await {
        Ok(Response::Chunk { bytes: proof, .. }) => {
            tokio::task::spawn_blocking(move || check_proof(hash, bytes, &asked, &proof))
                .await
                .map_err(|error| error.to_string())
        }
        Ok(Response::Refused(reason)) => {
            tracing::warn!(%of, %volume, "a holder gives no proof: {reason}");
            Ok(false)
        }
        Ok(_) => Ok(false),
        Err(error) => Err(error),
    };
    shell.core.tell(done(outcome)).await;
}

/// Brings a catalog blob here, indexes it where it can be read, and tells the core.
pub async fn fetch_catalog(shell: Arc<Shell>, hash: Hash, from: NodeId) {
    let fetched = async {
        let mut blob: Vec<u8> = Vec::new();
        loop {
            let request = Request::GetCatalog { hash, offset: blob.len() as u64 };
            let Response::Chunk { total, bytes } = exchange(&shell, from, request, PATIENCE).await? else {
                return Err("it is not there".to_owned());
            };
            let whole = blob.len() as u64 + bytes.len() as u64;
            if bytes.is_empty() || whole > total || total > limit::CATALOG_BYTES_MAX + (limit::SEGMENT as u64)
            {
                return Err("the other node sends a catalog that cannot be".to_owned());
            }
            blob.extend(bytes);
            if whole == total {
                return Ok(blob);
            }
        }
    };
    let kept = match fetched.await {
        Ok(blob) => {
            let keeper = Arc::clone(&shell);
            let kept = tokio::task::spawn_blocking(move || keeper.catalogs.keep(&hash, &blob)).await;
            matches!(kept, Ok(Ok(())))
        }
        Err(reason) => {
            tracing::debug!(%hash, %from, "a catalog did not come: {reason}");
            false
        }
    };
    shell.core.tell(Event::Catalog { hash, kept }).await;
}

/// Answers what the core need not know of. Nothing when it is the core's to answer.
pub async fn answer(shell: &Arc<Shell>, request: &Request) -> Option<Response> {
    match request {
        Request::Reconcile(_) | Request::Push(_) | Request::Promise(_) => None,
        Request::Fetch(ids) => {
            let (store, ids) = (Arc::clone(&shell.store), ids.clone());
            let read =
                tokio::task::spawn_blocking(move || store.record_bytes(&ids, limit::ANSWER_BYTES)).await;
            Some(match read {
                Ok(Ok(records)) => Response::Records(records),
                _ => Response::Refused("the records cannot be read now".into()),
            })
        }
        Request::GetCatalog { hash, offset } => {
            let (keeper, hash, offset) = (Arc::clone(shell), *hash, *offset);
            let read = tokio::task::spawn_blocking(move || keeper.catalogs.read(&hash)).await;
            Some(match read {
                Ok(Ok(blob)) => piece(&blob, offset),
                _ => Response::Refused("the catalog is not here".into()),
            })
        }
        Request::Prove { volume, hash, groups } => Some(match shell.volumes.get(volume) {
            Some(open) => match open.prove(*hash, &Groups::from_indexes(groups.iter().copied())).await {
                Ok(bytes) => Response::Chunk { total: bytes.len() as u64, bytes },
                Err(error) => Response::Refused(error.to_string()),
            },
            None => Response::Refused("the volume is not available".into()),
        }),
    }
}

fn piece(blob: &[u8], offset: u64) -> Response {
    let start = usize::try_from(offset).map_or(blob.len(), |offset| offset.min(blob.len()));
    let end = blob.len().min(start + limit::ANSWER_BYTES);
    Response::Chunk { total: blob.len() as u64, bytes: blob[start..end].to_vec() }
}
