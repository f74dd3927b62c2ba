//! Nothing here: the tests of this package open reports in a browser.
