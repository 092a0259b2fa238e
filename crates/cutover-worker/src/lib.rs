//! Runs what a database needs done on time: declared jobs, their schedules, leases that several workers share, and records of
//! each run. The database coordinates, and its clock alone decides what is due.

pub mod schedule;
