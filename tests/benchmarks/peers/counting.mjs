// What counting.py says, for clients in JavaScript: `counting(count, chunk)` returns what to call with each message.
import { writeSync } from "node:fs";

export const say = (line) => writeSync(1, `${line}\n`);

export const spent = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

export const counting = (count, chunk) => {
  let [seen, began] = [0, 0];
  return () => {
    seen += 1;
    if (count === 0) {
      say(`message ${Number(process.hrtime.bigint()) / 1e9}`);
    } else if (seen % chunk === 0) {
      if (seen === chunk) began = spent();
      say(seen);
      if (seen === count) {
        say((spent() - began) / (count - chunk));
        process.exit(0);
      }
    }
  };
};
