use super::*;

fn dir() -> &'static Path {
    Path::new("/data")
}

fn path() -> PathBuf {
    dir().join("file")
}

fn opened(disk: &SimDisk) -> Arc<dyn DiskFile> {
    disk.create(&path()).expect("opened")
}

#[test]
fn what_is_synced_survives_a_power_cut() {
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        let file = opened(&disk);
        file.write_at(&[7; 20_000], 0).expect("written");
        file.sync_data().expect("synced");
        disk.sync_dir(dir()).expect("synced");
        disk.power_cut();
        assert_eq!(disk.contents(&path()), Some(vec![7; 20_000]));
        assert!(file.len().is_err(), "a file of a process that is no more");
    }
}

#[test]
fn what_is_not_synced_is_lost_kept_torn_and_reordered() {
    // Lengths in between are whole sectors.
    let mut all = DiskProbes::default();
    let mut lens = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let disk = SimDisk::new(seed);
        let file = opened(&disk);
        file.write_at(&[1; 20_000], 0).expect("written");
        file.sync_data().expect("synced");
        disk.sync_dir(dir()).expect("synced");
        file.write_at(&[2; 20_000], 2_000).expect("written");
        disk.power_cut();
        let left = disk.contents(&path()).expect("there");
        assert_eq!(left[..2_000], [1; 2_000]);
        assert!(left[2_000..20_000].iter().all(|byte| matches!(byte, 1 | 2)));
        assert!(left[20_000..].iter().all(|byte| matches!(byte, 0 | 2)));
        lens.insert(left.len());
        let probes = disk.probes();
        all.lost_pages += probes.lost_pages;
        all.torn_pages += probes.torn_pages;
        all.kept_pages += probes.kept_pages;
        all.reordered += probes.reordered;
    }
    assert!(all.lost_pages > 100 && all.torn_pages > 100 && all.kept_pages > 100 && all.reordered > 50, "{all:?}");
    assert!(lens.contains(&20_000) && lens.contains(&22_000) && lens.len() > 4, "{lens:?}");
}

#[test]
fn a_lost_truncation_brings_the_old_bytes_back() {
    let mut lens = [0; 2];
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let file = opened(&disk);
        file.write_at(&[1; 10_000], 0).expect("written");
        file.sync_data().expect("synced");
        disk.sync_dir(dir()).expect("synced");
        file.set_len(0).expect("cut");
        disk.power_cut();
        match disk.contents(&path()).expect("there").len() {
            0 => lens[0] += 1,
            10_000 => lens[1] += 1,
            _ => {}
        }
    }
    assert!(lens[0] > 10 && lens[1] > 10, "{lens:?}");
}

#[test]
fn entries_of_an_unsynced_folder_come_and_go() {
    let (mut created, mut back) = (0, 0);
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let file = opened(&disk);
        file.write_at(b"x", 0).expect("written");
        file.sync_data().expect("synced");
        disk.power_cut();
        created += u32::from(disk.contents(&path()).is_some());
        let disk = SimDisk::new(seed);
        opened(&disk);
        disk.sync_dir(dir()).expect("synced");
        disk.remove(&path()).expect("removed");
        assert_eq!(disk.list(dir()).expect("listed"), Vec::<PathBuf>::new());
        disk.power_cut();
        back += u32::from(disk.contents(&path()).is_some());
    }
    assert!((20..80).contains(&created) && (20..80).contains(&back), "{created} {back}");
}

#[test]
fn a_failed_sync_drops_pages_as_clean() {
    let mut lost = 0;
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let file = opened(&disk);
        file.write_at(&[1; 4096], 0).expect("written");
        file.sync_data().expect("synced");
        disk.sync_dir(dir()).expect("synced");
        file.write_at(&[2; 4096], 0).expect("written");
        disk.fail(DiskCall::Sync, 0, 1, io::ErrorKind::Other);
        file.sync_data().expect_err("told to fail");
        assert_eq!(disk.contents(&path()), Some(vec![2; 4096]), "still read");
        file.sync_data().expect("nothing to sync");
        disk.power_cut();
        lost += u32::from(disk.contents(&path()) == Some(vec![1; 4096]));
    }
    assert!(lost > 30, "{lost}");
}

#[test]
fn a_full_disk_takes_a_part_and_says_so() {
    let disk = SimDisk::new(1);
    disk.set_capacity(Some(1_200));
    let file = opened(&disk);
    let error = file.write_at(&[1; 1_500], 0).expect_err("full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.used(), 1_024, "whole sectors");
    file.write_at(&[2; 1_200], 0).expect("just room enough");
    disk.set_capacity(None);
    file.write_at(&[1; 1_500], 0).expect("room again");
}

#[test]
fn scheduled_and_random_faults_come_as_told() {
    let disk = SimDisk::new(1);
    let file = opened(&disk);
    disk.fail(DiskCall::Write, 1, 2, io::ErrorKind::Other);
    let outcomes: Vec<bool> = (0..4).map(|_| file.write_at(b"x", 0).is_ok()).collect();
    assert_eq!(outcomes, [true, false, false, true]);
    disk.set_faults(DiskFaults { read: 0.5, ..DiskFaults::default() });
    let failed = (0..1_000).filter(|_| file.read_at(&mut [0], 0).is_err()).count();
    assert!((400..600).contains(&failed), "{failed}");
}

#[test]
fn a_seed_repeats() {
    let run = |seed| {
        let disk = SimDisk::with_page_bytes(seed, 512);
        disk.set_faults(DiskFaults { write: 0.2, full: 0.2, ..DiskFaults::default() });
        let file = opened(&disk);
        disk.sync_dir(dir()).expect("synced");
        for at in 0..100 {
            let _ = file.write_at(&[at as u8; 300], at * 250);
        }
        disk.power_cut();
        (disk.contents(&path()), disk.probes())
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn whoever_opens_makes_no_file_and_whoever_reads_changes_none() {
    let disk = SimDisk::new(1);
    let missing = |opened: io::Result<Arc<dyn DiskFile>>| opened.err().map(|error| error.kind());
    assert_eq!(missing(disk.open(&path())), Some(io::ErrorKind::NotFound));
    assert_eq!(missing(disk.open_to_read(&path())), Some(io::ErrorKind::NotFound));
    assert!(!disk.exists(&path()).expect("looked"));
    opened(&disk).write_at(b"hello", 0).expect("written");
    let file = disk.open_to_read(&path()).expect("opened");
    assert!(file.write_at(b"x", 0).is_err());
    assert!(file.set_len(0).is_err());
    assert_eq!(disk.contents(&path()), Some(b"hello".to_vec()));
}

#[test]
fn a_folder_that_was_not_synced_into_the_one_above_may_go_with_all_that_is_in_it() {
    let (above, folder) = (Path::new("/data"), Path::new("/data/journal"));
    let path = folder.join("file");
    let life = |seed, synced: &[&Path]| {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(folder).expect("made");
        let file = disk.create(&path).expect("made");
        file.write_at(b"hello", 0).expect("written");
        file.sync_data().expect("synced");
        synced.iter().for_each(|folder| disk.sync_dir(folder).expect("synced"));
        let worst = disk.synced_copy().contents(&path);
        disk.power_cut();
        disk.create_dir_all(folder).expect("made again");
        (disk.contents(&path).is_some(), worst.is_some())
    };
    for seed in 0..50 {
        assert_eq!(life(seed, &[folder, above, Path::new("/")]), (true, true));
    }
    for synced in [&[folder][..], &[folder, above], &[folder, Path::new("/")]] {
        let kept = (0..50).filter(|seed| life(*seed, synced).0).count();
        assert!((1..50).contains(&kept), "{kept} of 50 kept");
        assert!(!life(1, synced).1);
    }
}
