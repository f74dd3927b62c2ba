//! One browser for one test: Chromium without a window and without a network, told what to do through WebDriver.
//!
//! Its driver is `chromedriver` of the same version (Debian: `chromium-driver`); `CHROMEDRIVER` and `CHROME` name others. Both end with the
//! test.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fantoccini::actions::{InputSource, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use url::{ParseError, Url};

/// Longest wait for anything that a browser does.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) dark: bool,
}

/// A window on a desk.
pub(crate) const DESK: Look = Look { width: 1_280, height: 900, dark: false };
/// The same at night.
pub(crate) const NIGHT: Look = Look { dark: true, ..DESK };
/// A phone held upright.
pub(crate) const PHONE: Look = Look { width: 390, height: 844, dark: false };

/// A browser with one page open.
pub(crate) struct Browser {
    pub(crate) client: Client,
    look: Look,
    /// Killed when dropped, and the browser with it.
    _driver: Child,
}

/// Folder of the pages.
pub(crate) fn pages() -> PathBuf {
    let told = std::env::var_os("REPORT_PAGES").map(PathBuf::from);
    told.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/report-pages"))
        .canonicalize()
        .expect("pages, drawn by scripts/test-reports")
}

/// The report of the run of a kind: `held`, `violated`, ...
pub(crate) fn report(kind: &str) -> PathBuf {
    let runs = pages().join(kind).join("flash_sale");
    let mut pages: Vec<PathBuf> = std::fs::read_dir(&runs)
        .unwrap_or_else(|error| panic!("read {}: {error}", runs.display()))
        .map(|entry| entry.unwrap().path().join("report.html"))
        .filter(|page| page.is_file())
        .collect();
    pages.sort();
    pages.into_iter().next().expect("a page")
}

/// Opens a page from disk.
pub(crate) async fn open(page: &Path, look: Look) -> Browser {
    let program = std::env::var_os("CHROMEDRIVER").unwrap_or_else(|| "chromedriver".into());
    let mut driver = Command::new(program)
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("chromedriver (scripts/setup --browser installs it)");
    let port = tokio::time::timeout(PATIENCE, port(&mut driver)).await.expect("chromedriver to listen");
    // Nothing listens on port 9, so that whatever the page asks for beyond itself fails, and shows among the errors.
    let size = format!("--window-size={},{}", look.width, look.height);
    let mut options = json!({ "args": [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--proxy-server=127.0.0.1:9", size,
    ] });
    if let Some(browser) = std::env::var_os("CHROME") {
        options["binary"] = json!(browser.to_string_lossy());
    }
    let Value::Object(wanted) = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } }) else {
        unreachable!()
    };
    let connect =
        async { ClientBuilder::new(HttpConnector::new()).capabilities(wanted).connect(&format!("http://127.0.0.1:{port}")).await };
    let client = tokio::time::timeout(PATIENCE, connect).await.expect("a browser in time").expect("a browser");
    let browser = Browser { client, look, _driver: driver };
    browser.wear(look).await;
    browser.client.goto(Url::from_file_path(page).unwrap().as_str()).await.unwrap();
    browser
}

/// The port that chromedriver chose, which it says on its first lines.
async fn port(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            return port.trim_end_matches('.').parse().unwrap();
        }
    }
    panic!("chromedriver ended before it listened")
}

impl Browser {
    /// What a script returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{error}\n{script}"))
    }

    /// Waits until a script returns true.
    pub(crate) async fn until(&self, what: &str, script: &str) {
        let holds = async {
            while self.run(script).await != json!(true) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, holds).await.unwrap_or_else(|_| panic!("never: {what}"));
    }

    pub(crate) async fn find(&self, selector: &str) -> Element {
        self.client.find(Locator::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    /// What the console holds but debug lines.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.client.issue_cmd(Post { path: "se/log", body: json!({ "type": "browser" }) }).await.unwrap();
        let lines = log.as_array().unwrap().iter().filter(|line| line["level"] != "DEBUG" && line["level"] != "INFO");
        lines.map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Sets size and colours.
    pub(crate) async fn wear(&self, look: Look) {
        let size = json!({ "width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await.unwrap();
        let scheme = if look.dark { "dark" } else { "light" };
        let media = json!({ "media": "", "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await.unwrap();
    }

    /// A command of the browser itself.
    pub(crate) async fn devtools(&self, command: &str, params: Value) -> Result<Value, CmdError> {
        self.client.issue_cmd(Post { path: "goog/cdp/execute", body: json!({ "cmd": command, "params": params }) }).await
    }

    /// Keeps a picture of the whole page.
    pub(crate) async fn picture(&self, name: &str) {
        let height = self.run("return document.documentElement.scrollHeight").await.as_u64().unwrap();
        let height = u32::try_from(height).unwrap().clamp(self.look.height, 16_000);
        self.wear(Look { height, ..self.look }).await;
        let image = self.client.screenshot().await.unwrap();
        self.wear(self.look).await;
        let folder = pages().join("pictures");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), image).unwrap();
    }

    /// Moves the mouse to a place of an element, from its middle.
    pub(crate) async fn hover(&self, element: &Element, x: f64, y: f64) {
        self.client.perform_actions(MouseActions::new("mouse".to_owned()).then(to(element, x, y))).await.unwrap();
    }

    /// Draws the mouse with its button down from one place to another.
    pub(crate) async fn drag(&self, element: &Element, from: f64, to_x: f64) {
        let mouse = MouseActions::new("mouse".to_owned())
            .then(to(element, from, 0.0))
            .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
            .then(to(element, (from + to_x) / 2.0, 0.0))
            .then(to(element, to_x, 0.0))
            .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
        self.client.perform_actions(mouse).await.unwrap();
    }

    /// Clicks twice in the middle.
    pub(crate) async fn double_click(&self, element: &Element) {
        let press = [PointerAction::Down { button: MOUSE_BUTTON_LEFT }, PointerAction::Up { button: MOUSE_BUTTON_LEFT }];
        let mouse = [press.clone(), press]
            .into_iter()
            .flatten()
            .fold(MouseActions::new("mouse".to_owned()).then(to(element, 0.0, 0.0)), MouseActions::then);
        self.client.perform_actions(mouse).await.unwrap();
    }

    /// Presses a key on whatever has the focus.
    pub(crate) async fn press(&self, key: char) {
        let keys = KeyActions::new("keys".to_owned()).then(KeyAction::Down { value: key }).then(KeyAction::Up { value: key });
        self.client.perform_actions(keys).await.unwrap();
    }

    pub(crate) async fn close(self) {
        self.client.close().await.unwrap();
    }
}

fn to(element: &Element, x: f64, y: f64) -> PointerAction {
    PointerAction::MoveToElement { element: element.clone(), duration: None, x, y }
}

/// A command that the standard leaves to the maker of the browser.
#[derive(Debug)]
struct Post {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Post {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _request: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
