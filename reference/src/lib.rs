//! Reservation service.
