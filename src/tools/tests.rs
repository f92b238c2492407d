//! Scripted gestures with the masks that they must make.
