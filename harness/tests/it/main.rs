//! Tests of whole stages: against real servers and processes, which they start themselves, on saved evidence, and of the sources.

mod history;
mod load;
mod peer;
mod proxy_api;
mod proxy_outages;
mod proxy_remote;
mod proxy_rig;
mod proxy_toxics;
mod proxy_toxiproxy_client;
mod proxy_triggers;
mod report_folder;
mod report_formats;
mod report_measure;
mod report_outcome;
mod report_page;
mod report_synthetic;
mod snapshot;
mod snapshot_calls;
mod snapshot_quiesce;
mod snapshot_rig;
mod stack_services;
mod stack_stores;
mod tidy;
