select {organization} from {reachable_organizations} o order by o.created_at, o.id
