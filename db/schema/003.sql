-- Version 3.

-- Where a function of another library has won: the best kernel of ours, for callers that the library was not made ready for. NULL: the winner
-- is ours.
ALTER TABLE choice ADD COLUMN ours INTEGER REFERENCES variant (id);
