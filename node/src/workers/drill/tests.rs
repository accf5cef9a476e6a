//! Drills on real volumes of a real node, without a site where nothing is.

use std::fs;
use std::path::Path;
use std::time::Duration;

use safelight_proto::id::NodeId;
use safelight_proto::record::Admit;
use safelight_proto::vocabulary::Role;

use super::*;
use crate::admin::doc::DrillFailureDoc;
use crate::workers::restore::tests::{Studio, photo, phrase};

/// A studio whose library has a site where no volume is.
async fn studio() -> Studio {
    let studio = Studio::new().await;
    let site = Site::new("moon").unwrap();
    let admit = Body::Admit(Admit { node: NodeId([5; 32]), role: Role::Vault, site });
    let said = Event::SayAs(Box::new(phrase().authority()), vec![admit]);
    studio.running.shell.core.settle(said).await.unwrap();
    studio
}

async fn held(studio: &Studio, extent: Extent, most_bytes: Option<u64>) -> DrillDoc {
    let (reporter, _reports) = Reporter::new(Duration::from_millis(100));
    let request =
        Drill { without: Site::new("Moon").unwrap(), extent, most_bytes, polite: most_bytes.is_some() };
    rehearse(&studio.running.shell, request, &reporter).await.unwrap()
}

fn photos() -> Vec<Vec<u8>> {
    vec![photo(1, 2_500_000), photo(2, 10), photo(3, 700_000), photo(4, 1_200_000)]
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn indexes(failed: &[DrillFailureDoc]) -> Vec<Option<u8>> {
    failed.iter().map(|failed| failed.index).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_twice_and_no_more_bytes_than_are_allowed() {
    let studio = studio().await;
    studio.files(1, "Smith", 2, &photos()).await;
    studio.files(2, "Jones", 1, &photos()).await;
    let all = held(&studio, Extent::All, None).await;
    assert_eq!((all.passed, all.files_tested, all.files_passed, all.files), (true, 8, 8, 8), "{all:?}");
    assert_eq!((all.bytes, all.without.as_str()), (8_800_020, "moon"));
    // Both times, and with parity all of every stripe is read.
    assert!(all.sources[0].bytes >= 2 * 8_800_020, "{:?}", all.sources);

    for _ in 0..8 {
        let few = held(&studio, Extent::Sample(8), Some(1_000_000)).await;
        assert!(few.passed && few.files_tested > 0 && few.bytes <= 1_000_000, "{few:?}");
    }
    // Less than the smallest file of most rolls has: something is rebuilt all the same.
    let least = held(&studio, Extent::Sample(1), Some(0)).await;
    assert_eq!((least.passed, least.files_tested, least.all), (true, 1, false), "{least:?}");
    studio.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_shard_that_can_be_had_takes_part() {
    let studio = studio().await;
    let coding = studio.files(1, "Smith", 2, &photos()).await;
    for index in 0..4 {
        flip(&studio.shard(&coding, index), 1_000_000);
        let found = held(&studio, Extent::All, None).await;
        assert_eq!(
            indexes(&found.failed),
            [Some(index as u8)],
            "every file came back all the same: {found:?}"
        );
        assert_eq!((found.passed, found.files_passed), (false, 4), "{found:?}");
        let began = Instant::now();
        while !studio.shard(&coding, index).exists() {
            assert!(began.elapsed() < Duration::from_secs(60), "shard {index} is not made again");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let recorded = |node: &Node| {
        let drill = node.manifest().drill(&Site::new("moon").unwrap()).unwrap().drill.clone();
        (drill.passed, drill.all, drill.files, drill.of_files, drill.failed > 0)
    };
    let recorded = studio.running.shell.core.ask(recorded).await.unwrap();
    assert_eq!(recorded, (false, true, 4, 4, true));
    studio.running.stop().await;
}
