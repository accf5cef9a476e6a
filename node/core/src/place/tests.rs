//! The planner and the evaluator against the worked cases of the design and against brute force.
