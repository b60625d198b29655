"""The matrix: results of many machines and what the models say, merged; and its outputs but the page."""
