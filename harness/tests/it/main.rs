//! Tests of the stages against real servers, which they start themselves.

mod report_folder;
mod report_formats;
mod report_measure;
mod report_outcome;
mod report_page;
mod report_synthetic;
