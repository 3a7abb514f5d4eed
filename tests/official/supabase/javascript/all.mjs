import './connection.mjs';
import './broadcast.mjs';
import './presence.mjs';
import './private.mjs';
import './tables.mjs';
import { main } from './runner.mjs';

await main();
