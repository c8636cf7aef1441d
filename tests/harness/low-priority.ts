import { constants, setPriority } from "node:os";

// The tests of these projects measure no time: they leave the processors to those that do.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
