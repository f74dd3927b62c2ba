//! One small run that is held, made once and looked at by many tests; and copies of its folder to be spoiled.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use harness::report::RunFolder;
use harness::snapshot::Stop;

use crate::processes::Process;
use crate::programs::{Done, Running, small_sale, verify};
use crate::workplace::{Workplace, entries};

/// The run, with what was seen of it while it went on.
#[derive(Debug)]
pub(crate) struct SavedRun {
    pub(crate) place: Workplace,
    pub(crate) done: Done,
    pub(crate) family: Vec<Process>,
}

static SAVED: LazyLock<SavedRun> = LazyLock::new(|| {
    let place = Workplace::kept("saved-run");
    let mut running = Running::start(&place, small_sale(&["--seed", "7"]));
    let family = running.until_selling(&place);
    let done = running.finish();
    SavedRun { place, done, family }
});

/// The run; the first caller waits for it. To be called by tests that run one at a time.
pub(crate) fn saved_run() -> &'static SavedRun {
    LazyLock::force(&SAVED)
}

/// A copy of the saved run, to be spoiled.
#[derive(Debug)]
pub(crate) struct Copy {
    place: Workplace,
    folder: PathBuf,
}

impl Copy {
    pub(crate) fn new(name: &str) -> Self {
        let place = Workplace::new(name);
        let folder = place.path().join("copy");
        std::fs::create_dir(&folder).unwrap();
        for file in entries(&saved_run().place.latest()).iter().filter(|path| path.is_file()) {
            std::fs::copy(file, folder.join(file.file_name().unwrap())).unwrap();
        }
        Self { place, folder }
    }

    /// Changes what the stores held: the stops after the load and after the drain.
    pub(crate) fn edit_stops(&self, edit: impl FnOnce(&mut [Stop])) {
        let folder = RunFolder::open(&self.folder).unwrap();
        let mut stops = folder.read_stops().unwrap();
        assert_eq!(stops.len(), 2, "after the load and after the drain");
        edit(&mut stops);
        folder.write_stops(&stops).unwrap();
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn verify(&self) -> Done {
        verify(&self.place, &self.folder)
    }
}

/// Name and content of every file in a folder.
pub(crate) fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = entries(folder).into_iter().filter(|path| path.is_file());
    files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}
