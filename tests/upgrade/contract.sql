-- What the release before does not need any more, and older ones do.
-- oldest server: {before}

drop table later_things;
