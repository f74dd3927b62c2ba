//! Integration tests of the harness; one file a subject.

mod history;
mod load;
mod peer;
mod report_folder;
mod report_formats;
mod report_measure;
mod report_outcome;
mod report_page;
mod report_synthetic;
