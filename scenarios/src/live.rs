//! `--live`: the report of a run while it goes on, served on loopback.
//!
//! In: the folder of a run. Out: a page at a free port of 127.0.0.1, made anew from what is on record when somebody asks for it. Nobody who
//! does not ask pays for it: measuring takes the cores that the service has too, so it is done at most a twentieth of the time.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use harness::history::follow::Follower;
use harness::report::folder::{HISTORY, HTML, RunFolder};
use harness::report::live::page;
use harness::scenario::plan::Plan;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::series::now;

/// A page is not made anew sooner than this after the last one ...
const FRESH: Duration = Duration::from_secs(1);
/// ... and than this many times what making it took.
const REST: u32 = 20;
/// How long the report of an ended run is kept for somebody who watches; the page asks every two seconds.
const LAST_LOOK: Duration = Duration::from_secs(4);

/// The served page. Dropped, the port is closed.
#[derive(Debug)]
pub struct Live {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
    over: CancellationToken,
}

#[derive(Debug, Default)]
struct Shared {
    run: Mutex<Option<Followed>>,
    watched: Mutex<Watched>,
}

/// The run that is shown.
#[derive(Debug)]
struct Followed {
    folder: PathBuf,
    plan: Plan,
    history: Follower,
    page: String,
    made: Option<(Instant, Duration)>,
    ended: bool,
}

/// Who looks.
#[derive(Debug, Default)]
struct Watched {
    asked: Option<Instant>,
    /// Told when the page of the ended run was served.
    seen: Option<oneshot::Sender<()>>,
}

impl Live {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// There is none.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let router = Router::new().route("/", get(show)).with_state(Arc::clone(&shared));
        let over = CancellationToken::new();
        let told = over.clone();
        let server = tokio::spawn(async move {
            // A listener that fails ends the show and not the run.
            let _ended = axum::serve(listener, router).with_graceful_shutdown(told.cancelled_owned()).await;
        });
        Ok(Self { address, shared, server, over })
    }

    /// Where a browser finds it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Shows the run in `folder` from now on. A folder without a readable plan is not shown.
    pub fn follow(&self, folder: &Path) {
        let plan = RunFolder::open(folder).and_then(|folder| folder.read_plan());
        *lock(&self.shared.run) = plan.ok().map(|plan| Followed {
            folder: folder.to_owned(),
            plan,
            history: Follower::new(&folder.join(HISTORY)),
            page: String::new(),
            made: None,
            ended: false,
        });
    }

    /// Shows the report of the run that has ended, once more to somebody who watched, for four seconds at most.
    pub async fn end(mut self) {
        if let Some(run) = lock(&self.shared.run).as_mut() {
            run.ended = true;
        }
        let (told, seen) = oneshot::channel();
        let watched = {
            let mut watched = lock(&self.shared.watched);
            watched.seen = Some(told);
            watched.asked.is_some_and(|asked| now().duration_since(asked) < LAST_LOOK)
        };
        if watched {
            // Nobody came: then nobody watches any more.
            let _gone = tokio::time::timeout(LAST_LOOK, seen).await;
        }
        self.over.cancel();
        // What is being sent is sent; whoever is slower than that has the report on disk.
        let _cut = tokio::time::timeout(FRESH, &mut self.server).await;
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn show(State(shared): State<Arc<Shared>>) -> Response {
    let making = Arc::clone(&shared);
    let made = tokio::task::spawn_blocking(move || lock(&making.run).as_mut().map(|run| (run.current(), run.ended))).await;
    let (answer, last) = match made {
        Ok(Some((Ok(page), ended))) => (Html(page).into_response(), ended),
        Ok(Some((Err(why), _))) => ((StatusCode::INTERNAL_SERVER_ERROR, why).into_response(), false),
        Ok(None) | Err(_) => ((StatusCode::SERVICE_UNAVAILABLE, "the run has not begun").into_response(), false),
    };
    let mut watched = lock(&shared.watched);
    watched.asked = Some(now());
    if let Some(seen) = watched.seen.take_if(|_| last) {
        // Whoever waited for this may have stopped waiting.
        let _unheard = seen.send(());
    }
    answer
}

impl Followed {
    /// The page as it is to be shown now.
    fn current(&mut self) -> Result<String, String> {
        if self.ended {
            return std::fs::read_to_string(self.folder.join(HTML)).map_err(|error| format!("read the report: {error}"));
        }
        let begins = now();
        let due = self.made.is_none_or(|(at, took)| begins.duration_since(at) >= FRESH.max(took * REST));
        if due {
            let history = self.history.history().map_err(|error| error.to_string())?;
            let run_id = self.folder.file_name().unwrap_or_default().to_string_lossy();
            self.page = page(&self.plan, history, &run_id).map_err(|error| error.to_string())?;
            let ends = now();
            self.made = Some((ends, ends.duration_since(begins)));
        }
        Ok(self.page.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
