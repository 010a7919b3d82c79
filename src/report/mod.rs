//! One file per format and per chart.
