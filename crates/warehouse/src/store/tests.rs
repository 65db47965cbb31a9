use futures_util::TryStreamExt as _;

use super::*;

fn store(dir: &FsPath) -> (DurableStore, Path) {
    (DurableStore::new(), Path::from_absolute_path(dir).expect("a folder"))
}

#[tokio::test]
async fn puts_gets_lists_copies_and_deletes() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, root) = store(dir.path());
    let at = root.clone().join("a").join("b").join("c.json");
    store.put(&at, "one".into()).await.expect("put");
    let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    let error = store.put_opts(&at, "two".into(), create.clone()).await.expect_err("it is there");
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
    assert_eq!(store.get(&at).await.expect("there").bytes().await.expect("read"), "one");
    store.put(&at, "three".into()).await.expect("put over it");
    let other = root.clone().join("a").join("d.json");
    store.copy_if_not_exists(&at, &other).await.expect("copied");
    store.copy_if_not_exists(&at, &other).await.expect_err("it is there");
    assert_eq!(store.get(&other).await.expect("there").bytes().await.expect("read"), "three");
    let new = root.clone().join("new.json");
    store.put_opts(&new, "x".into(), create).await.expect("put");
    store.delete(&new).await.expect("deleted");
    let mut listed: Vec<_> = store.list(Some(&root)).map_ok(|meta| meta.location).try_collect().await.expect("listed");
    listed.sort();
    assert_eq!(listed, [at, other]);
}

#[tokio::test]
async fn what_is_put_in_parts_is_there_only_when_it_is_complete() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, root) = store(dir.path());
    let at = root.clone().join("big");
    let mut upload = store.put_multipart(&at).await.expect("begun");
    let (first, second) = (upload.put_part("one ".into()), upload.put_part("two".into()));
    second.await.expect("in any order");
    first.await.expect("written");
    assert!(matches!(store.head(&at).await, Err(Error::NotFound { .. })));
    upload.complete().await.expect("complete");
    assert_eq!(store.get(&at).await.expect("there").bytes().await.expect("read"), "one two");
    let mut upload = store.put_multipart(&at).await.expect("begun");
    upload.put_part("three".into()).await.expect("written");
    upload.abort().await.expect("given up");
    assert_eq!(store.get(&at).await.expect("there").bytes().await.expect("read"), "one two");
    assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "nothing is left beside it");
}

#[test]
fn what_a_crash_left_is_swept_up() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join("a")).expect("made");
    for name in ["x.parquet#12", "a/y.json#3", "a/keep#", "keep.parquet", "a/keep#b"] {
        fs::write(dir.path().join(name), "x").expect("written");
    }
    assert_eq!(DurableStore::sweep(dir.path()).expect("swept"), 2);
    assert_eq!(DurableStore::sweep(dir.path()).expect("swept"), 0);
    assert_eq!(DurableStore::sweep(&dir.path().join("none")).expect("nothing"), 0);
    assert!(dir.path().join("a/keep#b").exists() && dir.path().join("keep.parquet").exists());
}
